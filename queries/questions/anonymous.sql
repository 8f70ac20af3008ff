-- title: What was asked without any credential, and what was given?
-- group: attack
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: username IS NOT NULL | names: no event says who it was
-- read: What was served stands first. `usual` marks what every cluster gives to everybody: health, version, and the cluster information that a joining node reads. Anything else that was served names in `authz_reason` the binding to delete.
-- read: These are callers who sent no credential; a wrong one ends as 401 without a name, see `auth-failures`.
-- attack: T1078.001 T1613
-- next: auth-failures bindings-used address-history
WITH asked AS (
  SELECT outcome, verb, resource, subresource, namespace,
         SPLIT_PART(request_uri, '?', 1) AS path, authz_reason, peer_ip, user_agent, ts,
         CASE WHEN resource = 'configmaps' AND namespace = 'kube-public' AND name = 'cluster-info' THEN 'yes'
              WHEN resource IS NOT NULL THEN 'no'
              WHEN request_uri LIKE '/healthz%' OR request_uri LIKE '/livez%'
                OR request_uri LIKE '/readyz%' OR request_uri LIKE '/version%' THEN 'yes'
              ELSE 'no' END AS usual
  FROM requests
  WHERE identity_kind = 'anonymous' AND ms >= $from AND ms < $to)
SELECT COALESCE(outcome, 'no answer') AS outcome, usual, verb, resource, subresource, namespace, path,
       COUNT(*) AS n, COUNT(DISTINCT peer_ip) AS peers, MIN(peer_ip) AS a_peer,
       COUNT(DISTINCT user_agent) AS agents, MIN(user_agent) AS an_agent,
       MIN(authz_reason) AS authz_reason, MIN(ts) AS first_time, MAX(ts) AS last_time
FROM asked
GROUP BY COALESCE(outcome, 'no answer'), usual, verb, resource, subresource, namespace, path
ORDER BY outcome DESC, usual, n DESC, path, verb
