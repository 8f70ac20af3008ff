-- title: Which tokens of service accounts came from outside the cluster?
-- group: identity
-- parameter: class text = public | class of addresses that counts as outside: public, private, loopback or linklocal
-- parameter: own text = | addresses known to be yours, as a pattern such as 203.0.113.%; they are shown with the pattern
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: identity_kind = 'serviceaccount' | service accounts: none is in the log
-- needs: ip_class = 'public' | public addresses: the log has none, so either nobody came from outside or something in front of the API server hides it
-- read: A token of a service account belongs into a Pod; used from elsewhere it was taken out of it, by a build system that may do so or by somebody who may not. Known programs of the cloud provider also call from public addresses.
-- read: Only the address of the connection counts here, for it cannot be forged; behind a proxy that is the proxy's. `claims` shows an address that the client only claims.
-- attack: T1528 T1550.001
-- next: credential-use tokens-minted blast-radius
SELECT username, credential, peer_ip,
       CASE WHEN peer_ip LIKE $own THEN $own END AS known_as, agent_family, token_pod,
       COUNT(*) AS n, MIN(ts) AS first_time, MAX(ts) AS last_time,
       SUM(CASE WHEN resource = 'secrets' THEN 1 ELSE 0 END) AS of_secrets,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied,
       MIN(CASE WHEN client_ip <> peer_ip THEN client_ip END) AS claims
FROM requests
WHERE identity_kind = 'serviceaccount' AND ip_class = $class AND outcome IN ('ok', 'denied')
  AND ms >= $from AND ms < $to
GROUP BY username, credential, peer_ip, CASE WHEN peer_ip LIKE $own THEN $own END, agent_family,
         token_pod
ORDER BY n DESC, username, credential, peer_ip, agent_family
