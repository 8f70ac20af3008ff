-- title: What has never been done before?
-- group: identity
-- parameter: from time | what was done before counts as known; leave some days of log before it
-- parameter: to time = last | end of the time looked at
-- parameter: who text = | one user name; empty for all
-- needs: outcome = 'ok' | served requests: there are none in the log
-- read: In the order of the first time. `learned_h` is how many hours of log came before: with less than some days nearly everything is new and the answer says little. `new` parts an identity never seen before from a known one that does something else.
-- read: Monthly jobs and rotated names are new each time. Refused tries are not counted as done: see `denied-then-allowed`.
-- next: identity-profile identity-timeline period-diff
WITH born AS (
  SELECT actor, MIN(ms) AS born_ms FROM requests WHERE outcome = 'ok' GROUP BY actor),
log_start AS (
  SELECT MIN(ms) AS start_ms FROM requests),
seen AS (
  SELECT actor, verb, resource, subresource, MIN(ms) AS first_ms, MIN(ts) AS first_time,
         COUNT(*) AS n, COUNT(DISTINCT namespace) AS namespaces, MIN(peer_ip) AS a_peer,
         MIN(agent_family) AS an_agent
  FROM requests
  WHERE outcome = 'ok' AND ($who = '' OR actor = $who)
  GROUP BY actor, verb, resource, subresource)
SELECT seen.first_time, seen.actor,
       CASE WHEN born.born_ms >= $from THEN 'identity' ELSE 'behaviour' END AS new,
       seen.verb, seen.resource, seen.subresource, seen.n, seen.namespaces, seen.a_peer, seen.an_agent,
       ROUND(CAST($from - log_start.start_ms AS DOUBLE) / 3600000, 2) AS learned_h
FROM seen JOIN born ON born.actor = seen.actor CROSS JOIN log_start
WHERE seen.first_ms >= $from AND seen.first_ms < $to
ORDER BY first_time, actor, verb, resource, subresource
