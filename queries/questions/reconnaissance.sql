-- title: Who is looking around in the cluster?
-- group: attack
-- parameter: window duration = 10m | how much time is taken together
-- parameter: kinds number = 8 | how many kinds of objects make it looking around
-- parameter: checks number = 3 | or how many questions about one's own rights
-- parameter: controllers text = no | yes shows the controllers of the control plane too
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: verb IN ('get', 'list', 'watch') | reads: there are none in the log
-- read: Kinds of objects that one identity read from one address with one program within the window, and how often it asked what it may do. Many refusals beside many kinds is somebody who does not know the place.
-- read: A dashboard or a terminal browser reads as widely. What is odd is an identity for which this is new (`first-seen`), or one that belongs to a program with a narrow job. A burst on the edge of two windows is seen as two.
-- attack: T1613
-- next: first-seen denied-then-allowed identity-timeline
SELECT MIN(ts) AS first_time, actor, peer_ip, agent_family, COUNT(*) AS n,
       COUNT(DISTINCT resource) AS kinds, COUNT(DISTINCT namespace) AS namespaces,
       SUM(CASE WHEN resource IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews',
                                  'selfsubjectreviews') THEN 1 ELSE 0 END) AS own_rights,
       SUM(CASE WHEN resource IS NULL THEN 1 ELSE 0 END) AS of_paths,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied, MAX(ts) AS last_time
FROM requests
WHERE identity_kind IN ('user', 'serviceaccount', 'anonymous')
  AND ($controllers = 'yes' OR NOT (username LIKE 'system:serviceaccount:kube-system:%-controller'
                                    AND COALESCE(agent_family, '') = 'kube-controller-manager'))
  AND (verb IN ('get', 'list', 'watch')
    OR resource IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews'))
  AND ms >= $from AND ms < $to
GROUP BY actor, peer_ip, agent_family, ms - ms % $window
HAVING COUNT(DISTINCT resource) >= $kinds
    OR SUM(CASE WHEN resource IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews',
                                  'selfsubjectreviews') THEN 1 ELSE 0 END) >= $checks
ORDER BY kinds DESC, n DESC, actor, first_time
