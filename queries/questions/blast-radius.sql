-- title: What did this credential, user or address touch from this moment on?
-- group: aftermath
-- parameter: credential text = | the credential, such as JTI=...; empty if not asked by it
-- parameter: who text = | the user name; empty if not asked by it
-- parameter: ip text = | the address; empty if not asked by it
-- one of: credential who ip
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: credential IS NOT NULL | credentials: no event offers a key of one
-- read: Give one, two or all three; what meets any of them counts. The worst stands first: rights changed, Secrets read, credentials made, shells, other changes, then what was only looked at and what was refused.
-- read: A user name covers everybody who shares it, an address everybody behind it; the credential is the narrowest. What others did with what was taken is not here: ask `distrust`.
-- next: distrust exposed-credentials identity-timeline
WITH own AS (
  SELECT *, CASE WHEN outcome = 'denied' OR outcome = 'unauthenticated' THEN '7 refused'
                 WHEN outcome = 'error' THEN '8 failed'
                 WHEN is_mutating AND api_group = 'rbac.authorization.k8s.io' THEN '1 changed rights'
                 WHEN resource LIKE '%reviews' THEN '6 looked'
                 WHEN resource = 'secrets' AND NOT is_mutating THEN '2 read Secrets'
                 WHEN (resource = 'serviceaccounts' AND subresource = 'token')
                   OR (resource = 'certificatesigningrequests' AND verb IN ('create', 'update', 'patch')
                       AND COALESCE(subresource, 'approval') = 'approval')
                   THEN '3 made credentials'
                 WHEN subresource IN ('exec', 'attach', 'portforward', 'proxy', 'ephemeralcontainers')
                   THEN '4 shell or tunnel'
                 WHEN is_mutating THEN '5 changed'
                 ELSE '6 looked' END AS what
  FROM requests
  WHERE (($credential <> '' AND credential = $credential)
      OR ($who <> '' AND (username = $who OR imp_username = $who))
      OR ($ip <> '' AND peer_ip = $ip))
    AND ms >= $from AND ms < $to)
SELECT what, verb, resource, subresource, namespace, COUNT(*) AS n, COUNT(DISTINCT name) AS objects,
       MIN(name) AS an_object, MIN(ts) AS first_time, MAX(ts) AS last_time
FROM own
GROUP BY what, verb, resource, subresource, namespace
ORDER BY what, n DESC, verb, resource, subresource, namespace
