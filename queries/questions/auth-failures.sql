-- title: Who is knocking with credentials that are refused?
-- group: attack
-- parameter: gap duration = 5m | a silence longer than this ends a burst
-- parameter: min number = 5 | how many refusals make a burst; 1 shows all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: stage = 'ResponseStarted' | the stage ResponseStarted: refused logins are written at no other, so none can be seen
-- read: A burst is a run of refusals from one address and program, however long. No user name exists for them. `pause_s` is the mean pause between two and `spread_s` how much it varies: a stale kubelet or a forgotten CI token knocks evenly and forever, guessing is fast or uneven and tries many paths.
-- read: Guesses from many addresses stay below `min` each: ask with `min=1` and look for one program. Requests without any credential are not here but in `anonymous`.
-- attack: T1110
-- next: address-history anonymous
WITH refused AS (
  SELECT peer_ip, agent_family, user_agent, request_uri, message, ts, ms, line,
         ms - LAG(ms) OVER (PARTITION BY peer_ip, agent_family ORDER BY ms, line) AS pause
  FROM requests
  WHERE outcome = 'unauthenticated' AND ms >= $from AND ms < $to),
numbered AS (
  SELECT *, SUM(CASE WHEN pause IS NULL OR pause > $gap THEN 1 ELSE 0 END)
    OVER (PARTITION BY peer_ip, agent_family ORDER BY ms, line) AS burst
  FROM refused)
SELECT peer_ip, agent_family, MIN(ts) AS first_time, MAX(ts) AS last_time, COUNT(*) AS n,
       COUNT(DISTINCT SPLIT_PART(request_uri, '?', 1)) AS paths, COUNT(DISTINCT user_agent) AS agents,
       ROUND(AVG(CASE WHEN pause <= $gap THEN pause END) / 1000, 2) AS pause_s,
       ROUND(STDDEV(CASE WHEN pause <= $gap THEN pause END) / 1000, 2) AS spread_s,
       MIN(message) AS a_message
FROM numbered
GROUP BY peer_ip, agent_family, burst
HAVING COUNT(*) >= $min
ORDER BY n DESC, first_time, peer_ip, agent_family
