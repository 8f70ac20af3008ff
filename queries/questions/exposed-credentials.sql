-- title: Which credentials may have got out?
-- group: secrets
-- parameter: who text = | only through this user; empty for all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: outcome = 'ok' | served requests: there are none in the log
-- read: What to replace, and why: each way by which this API gave a Secret, a token or a certificate to a person or a program, with who and when first. No name means all of the namespace, no namespace the whole cluster.
-- read: `value in this log` means that the log itself holds the content, because the policy keeps bodies of Secrets or of token requests: whoever can read the log has them too. A program that reads its own Secret is here as well; a node that fetches for its Pods and the controllers of the control plane are not.
-- attack: T1552.007 T1528
-- next: secret-readers tokens-minted distrust
WITH ways AS (
  SELECT CASE WHEN resource = 'secrets' AND is_mutating THEN 'Secret in the answer to a write'
              WHEN resource = 'secrets' THEN 'Secret read'
              WHEN resource = 'serviceaccounts' THEN 'token minted'
              WHEN resource = 'certificatesigningrequests' THEN 'certificate asked for or approved'
              ELSE 'shell in a Pod' END AS way,
         username, imp_username, namespace, name, ts
  FROM requests
  WHERE outcome = 'ok' AND ms >= $from AND ms < $to
    AND identity_kind IN ('user', 'serviceaccount', 'anonymous')
    AND NOT (username LIKE 'system:serviceaccount:kube-system:%-controller'
             AND COALESCE(agent_family, '') = 'kube-controller-manager')
    AND ((resource = 'secrets' AND verb IN ('get', 'list', 'watch', 'update', 'patch'))
      OR (resource = 'serviceaccounts' AND subresource = 'token' AND verb = 'create')
      OR (resource = 'certificatesigningrequests' AND verb IN ('create', 'update', 'patch')
          AND COALESCE(subresource, 'approval') = 'approval')
      OR (subresource IN ('exec', 'attach', 'ephemeralcontainers')
          AND verb IN ('get', 'create', 'update', 'patch')))
  UNION ALL
  SELECT 'value in this log' AS way, username, imp_username, namespace, name, ts
  FROM requests
  WHERE outcome = 'ok' AND ms >= $from AND ms < $to
    AND ((resource = 'secrets'
          AND (level = 'RequestResponse'
            OR (level = 'Request' AND verb IN ('create', 'update', 'patch')))
          AND verb IN ('get', 'list', 'watch', 'create', 'update', 'patch'))
      OR (resource = 'serviceaccounts' AND subresource = 'token' AND level = 'RequestResponse')))
SELECT way, username, imp_username, namespace, name, MIN(ts) AS first_time, MAX(ts) AS last_time,
       COUNT(*) AS n
FROM ways
WHERE $who = '' OR username = $who OR imp_username = $who
GROUP BY way, username, imp_username, namespace, name
ORDER BY way, first_time, username, namespace, name
