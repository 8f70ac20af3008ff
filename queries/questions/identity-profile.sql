-- title: What is usual for this identity?
-- group: identity
-- parameter: who text | user name, such as system:serviceaccount:NAMESPACE:NAME
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: username IS NOT NULL | names: no event says who it was
-- read: The most frequent first; what stands at the end was done once or twice and is worth a look, above all with another address or program than the rest.
-- read: What was done in its name by impersonation counts as its own here, since permissions were judged for it. A profile made after a theft contains the thief.
-- next: first-seen least-privilege identity-timeline
SELECT verb, api_group, resource, subresource, namespace, COUNT(*) AS n,
       COUNT(DISTINCT name) AS names, COUNT(DISTINCT peer_ip) AS peers,
       COUNT(DISTINCT agent_family) AS agents,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied,
       SUM(CASE WHEN outcome = 'error' THEN 1 ELSE 0 END) AS failed,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM requests
WHERE actor = $who AND ms >= $from AND ms < $to
GROUP BY verb, api_group, resource, subresource, namespace
ORDER BY n DESC, verb, resource, subresource, namespace
