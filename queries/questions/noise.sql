-- title: What makes this log so large?
-- group: platform
-- parameter: top number = 40 | how many lines
-- needs: level IS NOT NULL | levels: no event names its own
-- read: The most bytes first, with their share of all; `received` are events of the stage RequestReceived, which say nothing that a later one does not. Leases and health checks are the usual candidates for the level None.
-- read: Before cutting something, think of what then cannot be asked any more: without reads of Secrets no `secret-readers`, without ResponseStarted no `auth-failures`, without bodies no `risky-workloads`.
-- next: coverage api-hogs
WITH sized AS (
  SELECT resource, subresource, verb, identity_kind, level, COUNT(*) AS events,
         SUM(CAST(length AS BIGINT)) AS bytes,
         SUM(CASE WHEN stage = 'RequestReceived' THEN 1 ELSE 0 END) AS received
  FROM events GROUP BY resource, subresource, verb, identity_kind, level),
whole AS (
  SELECT COUNT(*) AS all_events, SUM(CAST(length AS BIGINT)) AS all_bytes FROM events)
SELECT sized.resource, sized.subresource, sized.verb, sized.identity_kind, sized.level, sized.events,
       sized.received, sized.bytes, ROUND(CAST(sized.bytes AS DOUBLE) * 100 / whole.all_bytes, 2) AS percent_bytes,
       ROUND(CAST(sized.events AS DOUBLE) * 100 / whole.all_events, 2) AS percent_events
FROM sized CROSS JOIN whole
ORDER BY bytes DESC, events DESC, resource, subresource, verb, identity_kind, level
LIMIT $top
