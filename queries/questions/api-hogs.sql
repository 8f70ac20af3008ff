-- title: Who costs the API server the most time?
-- group: platform
-- parameter: top number = 50 | how many lines
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: stage = 'ResponseComplete' | the stage ResponseComplete: how long requests took is unknown
-- read: The most time spent for one caller, verb and resource first. Time the API server spends on a list grows with what it lists; many fast requests may weigh less than few slow ones.
-- read: Watches, shells, tunnels and followed logs last as long as somebody stays and are left out. The time includes waiting for the client and for webhooks.
-- next: noise identity-profile
SELECT actor, agent_family, verb, resource, subresource, COUNT(*) AS n,
       ROUND(SUM(latency_ms) / 1000, 3) AS total_s, ROUND(AVG(latency_ms), 1) AS mean_ms,
       ROUND(MAX(latency_ms), 1) AS longest_ms,
       SUM(CASE WHEN code = 429 THEN 1 ELSE 0 END) AS throttled,
       SUM(CASE WHEN code >= 500 THEN 1 ELSE 0 END) AS server_errors,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM requests
WHERE stage = 'ResponseComplete' AND verb <> 'watch'
  AND COALESCE(subresource, '') NOT IN ('exec', 'attach', 'portforward', 'proxy')
  AND NOT (COALESCE(subresource, '') = 'log' AND COALESCE(request_uri, '') LIKE '%follow=true%')
  AND COALESCE(request_uri, '') NOT LIKE '%watch=true%'
  AND ms >= $from AND ms < $to
GROUP BY actor, agent_family, verb, resource, subresource
ORDER BY total_s DESC, n DESC, actor, agent_family, verb, resource, subresource
LIMIT $top
