-- title: Who came with the group `system:masters`?
-- group: identity
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: user_groups IS NOT NULL | groups: no event names any (GKE logs none)
-- read: Nothing is judged for this group, and a certificate in it is revoked only by a new cluster CA. `own` is a member, `impersonated` one who took the group on. The API server's own connection to itself is in it too and stands apart, at the end.
-- read: A user bound to `cluster-admin` has the same power without this group and is not here: see `bindings-used`.
-- attack: T1078
-- next: credential-use identity-timeline rbac-changes
SELECT CASE WHEN username = 'system:apiserver' THEN 'the API server itself'
            WHEN user_groups LIKE '%"system:masters"%' THEN 'own' ELSE 'impersonated' END AS member,
       username, imp_username, credential, peer_ip, user_agent, COUNT(*) AS n,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       SUM(CASE WHEN resource = 'secrets' THEN 1 ELSE 0 END) AS of_secrets,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM requests
WHERE is_masters AND ms >= $from AND ms < $to
GROUP BY CASE WHEN username = 'system:apiserver' THEN 'the API server itself'
              WHEN user_groups LIKE '%"system:masters"%' THEN 'own' ELSE 'impersonated' END,
         username, imp_username, credential, peer_ip, user_agent
ORDER BY member, writes DESC, n DESC, credential, user_agent, peer_ip
