-- title: Who came from this address?
-- group: platform
-- parameter: ip text | the address
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: peer_ip IS NOT NULL | addresses: no event has one
-- read: In the order of first use. `seen_as` is `connection` where the address cannot be forged, and `claimed` where a client or proxy only says so. A change of identity on one address within minutes is somebody who took over another credential, or a gateway with many behind it.
-- read: Addresses of Pods are given to the next one within minutes: tie them by time. Refused logins stand without a name.
-- next: identity-timeline shared-credential blast-radius
WITH met AS (
  SELECT *, CASE WHEN peer_ip = $ip THEN 'connection' ELSE 'claimed' END AS seen_as
  FROM requests
  WHERE (peer_ip = $ip OR REPLACE(source_ips, '"' || $ip || '"', '') <> source_ips) AND ms >= $from AND ms < $to)
SELECT MIN(ts) AS first_time, MAX(ts) AS last_time, seen_as, username, imp_username, credential,
       agent_family, token_pod, COUNT(*) AS n,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied,
       SUM(CASE WHEN outcome = 'unauthenticated' THEN 1 ELSE 0 END) AS refused_logins
FROM met
GROUP BY seen_as, username, imp_username, credential, agent_family, token_pod
ORDER BY first_time, username, credential, agent_family
