-- title: From which addresses and programs did each credential come?
-- group: identity
-- parameter: who text = | user name; empty for all
-- parameter: credential text = | the credential, such as JTI=... or X509SHA256=...; empty for all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: credential_id IS NOT NULL | credential ids: Kubernetes before 1.32 logs none, or none for this kind
-- read: One line for each credential, address and program, in the order of first use. `exact` says whether the log names the credential itself; otherwise the key is its Pod, Secret, uid or user, and several tokens may stand behind it.
-- read: A second address late in the life of a credential is the thing to look for. A Pod's token is renewed about hourly, so one Pod has many. Refused logins name no credential.
-- attack: T1550.001
-- next: shared-credential tokens-minted blast-radius
SELECT credential, credential_kind, username,
       CASE WHEN MAX(credential_id) IS NULL THEN 'no' ELSE 'yes' END AS exact,
       peer_ip, ip_class, agent_family, token_pod, token_node,
       MIN(ts) AS first_time, MAX(ts) AS last_time, COUNT(*) AS n, COUNT(DISTINCT resource) AS resources,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied
FROM requests
WHERE credential IS NOT NULL AND ($who = '' OR username = $who)
  AND ($credential = '' OR credential = $credential) AND ms >= $from AND ms < $to
GROUP BY credential, credential_kind, username, peer_ip, ip_class, agent_family, token_pod, token_node
ORDER BY first_time, credential, peer_ip, agent_family
