-- title: Who will break with the next upgrade?
-- group: platform
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: decision IS NOT NULL | annotations: no event has the authorizer's, so the mark of a deprecated API is likely missing too
-- read: Who has to change something before the next upgrade, the busiest first. The program in `user_agent` tells more than the name: often a controller or a chart nobody remembers.
-- read: A call that comes once a quarter needs a quarter of log. The version in which the API goes away is in the event itself.
-- next: identity-profile
SELECT actor, user_agent, api_group, api_version, resource, COUNT(*) AS n,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes, COUNT(DISTINCT namespace) AS namespaces,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM requests
WHERE is_deprecated AND ms >= $from AND ms < $to
GROUP BY actor, user_agent, api_group, api_version, resource
ORDER BY n DESC, actor, user_agent, resource
