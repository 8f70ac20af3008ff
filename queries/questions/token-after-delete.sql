-- title: Which credentials outlived what they belong to?
-- group: identity
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: verb = 'delete' AND outcome = 'ok' | deletions: no served one is in the log
-- read: `certain` lines are requests that still name the dead credential. `unexplained` of them are too late for the API server's memory of checked tokens, which lasts some seconds, and for no new object of the same name: those say that it was not dead at all.
-- read: `likely` lines are refused logins (401), which name nobody: they come from an address and program that also used the credential. Behind one gateway they may be somebody else's, and one line may stand under several credentials.
-- attack: T1550.001
-- next: credential-use address-history blast-radius
WITH dead AS (
  SELECT credential, username, ended_at, ended_by, ended_object, uses_after_end
  FROM credentials WHERE ended_at IS NOT NULL),
homes AS (
  SELECT dead.credential, requests.peer_ip, requests.user_agent
  FROM requests JOIN dead ON dead.credential = requests.credential
  WHERE requests.peer_ip IS NOT NULL AND requests.user_agent IS NOT NULL
  GROUP BY dead.credential, requests.peer_ip, requests.user_agent),
tied AS (
  SELECT homes.credential, requests.ts, requests.ms, requests.outcome, requests.peer_ip
  FROM requests JOIN homes ON homes.peer_ip = requests.peer_ip
    AND homes.user_agent = requests.user_agent
  WHERE requests.outcome = 'unauthenticated'),
after_end AS (
  SELECT 'certain' AS sure, dead.credential, dead.username, dead.ended_object, dead.ended_at,
         dead.ended_by, dead.uses_after_end, requests.ts, requests.ms, requests.outcome, requests.peer_ip
  FROM requests JOIN dead ON dead.credential = requests.credential
  WHERE requests.ts > dead.ended_at
  UNION ALL
  SELECT 'likely' AS sure, dead.credential, dead.username, dead.ended_object, dead.ended_at,
         dead.ended_by, dead.uses_after_end, tied.ts, tied.ms, tied.outcome, tied.peer_ip
  FROM tied JOIN dead ON dead.credential = tied.credential
  WHERE tied.ts > dead.ended_at)
SELECT sure, credential, username, ended_object, ended_at, ended_by, COUNT(*) AS n,
       SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END) AS served,
       MAX(CASE WHEN sure = 'certain' THEN uses_after_end END) AS unexplained,
       MIN(ts) AS first_time, MAX(ts) AS last_time, COUNT(DISTINCT peer_ip) AS peers,
       MIN(peer_ip) AS a_peer
FROM after_end
WHERE ms >= $from AND ms < $to
GROUP BY sure, credential, username, ended_object, ended_at, ended_by
ORDER BY sure, served DESC, n DESC, credential
