-- title: When was the log silent?
-- group: coverage
-- parameter: gap duration = 5m | a pause longer than this is a silence
-- needs: stage_ts IS NOT NULL | time of writing: no event has a stageTimestamp
-- read: The longest first. Kubelets and controllers renew leases every few seconds, so even minutes without an event are odd: the API server was down, the log was rotated away or cut, or the policy was changed. `file` and `line` are where it goes on.
-- read: Time is taken when an event was written, not when its request came in: a watch of an hour is written at its end. With several API servers the others hide the silence of one, unless an envelope says which wrote what.
-- next: coverage period-diff
WITH written AS (
  SELECT cluster, log_node, stage_ts, EXTRACT(EPOCH FROM stage_ts) AS at_s, file, line
  FROM events WHERE stage_ts IS NOT NULL),
stepped AS (
  SELECT *,
         LAG(stage_ts) OVER (PARTITION BY cluster, log_node ORDER BY at_s, line) AS silent_from,
         LAG(at_s) OVER (PARTITION BY cluster, log_node ORDER BY at_s, line) AS previous_s
  FROM written)
SELECT silent_from, stage_ts AS silent_to, ROUND(at_s - previous_s, 1) AS seconds, stepped.cluster,
       log_node, file, line
FROM stepped
WHERE (at_s - previous_s) * 1000 > $gap
ORDER BY seconds DESC, silent_from
