-- title: Does one credential have several holders?
-- group: identity
-- parameter: window duration = 5m | two requests closer than this are at once
-- parameter: switches number = 2 | how many changes of place are needed
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: credential_id IS NOT NULL | credential ids: what several Pods of one service account share looks like one credential
-- read: A switch is a request that comes from another address, or another program, than the one before it and soon after. Somebody who moves switches once; two holders switch back and forth. Address switches come first; program switches behind one address may be one person with two tools.
-- read: A gateway or a load balancer hides addresses, and a machine with IPv4 and IPv6 has two. Where `exact` is `no`, the Pods of one service account are seen as one holder in many places.
-- attack: T1528 T1550.001
-- next: credential-use identity-timeline blast-radius
WITH stepped AS (
  SELECT credential, credential_kind, username, credential_id, peer_ip, agent_family, ts, ms,
         LAG(ms) OVER (PARTITION BY credential ORDER BY ms, line) AS previous_ms,
         LAG(peer_ip) OVER (PARTITION BY credential ORDER BY ms, line) AS previous_peer,
         LAG(agent_family) OVER (PARTITION BY credential ORDER BY ms, line) AS previous_agent
  FROM requests
  WHERE credential IS NOT NULL AND peer_ip IS NOT NULL AND identity_kind <> 'anonymous'
    AND username <> 'system:apiserver' AND COALESCE(outcome, 'ok') <> 'unauthenticated'
    AND ms >= $from AND ms < $to),
counted AS (
  SELECT credential, credential_kind, username,
         CASE WHEN MAX(credential_id) IS NULL THEN 'no' ELSE 'yes' END AS exact,
         SUM(CASE WHEN ms - previous_ms <= $window AND peer_ip <> previous_peer THEN 1 ELSE 0 END)
           AS address_switches,
         SUM(CASE WHEN ms - previous_ms <= $window AND agent_family <> previous_agent THEN 1 ELSE 0 END)
           AS program_switches,
         COUNT(DISTINCT peer_ip) AS addresses, COUNT(DISTINCT agent_family) AS programs,
         COUNT(*) AS n, MIN(ts) AS first_time, MAX(ts) AS last_time
  FROM stepped GROUP BY credential, credential_kind, username)
SELECT * FROM counted
WHERE address_switches >= $switches OR program_switches >= $switches
ORDER BY address_switches DESC, program_switches DESC, credential
