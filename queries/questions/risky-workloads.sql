-- title: Who started workloads that reach for the node?
-- group: changes
-- parameter: flag text = | only this setting, such as privileged, hostPath or caps:SYS_ADMIN; empty for all that reach for the node
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: pod_images IS NOT NULL | what workloads contain: no body of a Pod or of its template is in the log
-- read: One line for each who, what and setting, the earliest first. The Pod itself is made by a controller; the person is on the line of the Deployment, DaemonSet or Job of nearly the same name just before it.
-- read: A workload whose body was not logged is missing here, and that is not the same as harmless. An update that only touches something else repeats the setting under the name of whoever made it.
-- attack: T1610 T1611
-- next: object-history identity-timeline interactive-access
SELECT MIN(ts) AS first_time, username, imp_username, verb, resource, subresource, namespace, name,
       pod_flags, pod_images, pod_service_account, code, COUNT(*) AS n, MIN(peer_ip) AS a_peer,
       MIN(user_agent) AS an_agent
FROM requests
WHERE verb IN ('create', 'update', 'patch') AND pod_flags IS NOT NULL
  AND (($flag <> '' AND REPLACE(', ' || pod_flags || ',', ', ' || $flag || ',', '')
                        <> ', ' || pod_flags || ',')
    OR ($flag = '' AND (pod_flags LIKE '%privileged%' OR pod_flags LIKE '%host%'
                        OR pod_flags LIKE '%caps:%')))
  AND COALESCE(subresource, '') NOT IN ('status', 'binding', 'eviction', 'scale')
  AND COALESCE(request_uri, '') NOT LIKE '%dryRun=All%'
  AND ms >= $from AND ms < $to
GROUP BY username, imp_username, verb, resource, subresource, namespace, name, pod_flags, pod_images,
         pod_service_account, code
ORDER BY first_time, username, resource, name
