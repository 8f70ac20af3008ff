-- title: What can this log tell, and what can it not?
-- group: coverage
-- needs: level IS NOT NULL | levels: no event names its own
-- read: An empty answer to another question means something only if the line for its resource is here. Without `started` no refused login (401) can be seen; without `bodies` what was written or granted is unknown; without `ids` a credential is known by its owner only.
-- read: `events` are counted, of which a request has up to three. `bodies` counts events at a level that keeps them, also if a size limit cut them off again: `truncated`.
-- next: silences noise
SELECT cluster, api_group, COALESCE(resource, '(paths)') AS resource, level, COUNT(*) AS events,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       SUM(CASE WHEN stage = 'RequestReceived' THEN 1 ELSE 0 END) AS received,
       SUM(CASE WHEN stage = 'ResponseStarted' THEN 1 ELSE 0 END) AS started,
       SUM(CASE WHEN stage = 'ResponseComplete' THEN 1 ELSE 0 END) AS complete,
       SUM(CASE WHEN stage = 'Panic' THEN 1 ELSE 0 END) AS panics,
       SUM(CASE WHEN level IN ('Request', 'RequestResponse') THEN 1 ELSE 0 END) AS bodies,
       SUM(CASE WHEN truncated = 'true' THEN 1 ELSE 0 END) AS truncated,
       COUNT(credential_id) AS ids, COUNT(decision) AS decisions,
       SUM(CASE WHEN outcome = 'unauthenticated' THEN 1 ELSE 0 END) AS refused_logins,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM events
GROUP BY cluster, api_group, COALESCE(resource, '(paths)'), level
ORDER BY events DESC, resource, api_group, level
