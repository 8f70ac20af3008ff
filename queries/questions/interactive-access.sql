-- title: Who ran commands in containers or opened tunnels?
-- group: secrets
-- parameter: who text = | one user name; empty for all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: resource = 'pods' AND subresource IS NOT NULL | subresources of Pods: no request to any is in the log
-- read: The verb is `create` or `get`, for newer clients come by WebSocket, so it says nothing. `asked` is the query, with the command word by word, or the path behind a proxy. `seconds` is how long it lasted, where the log has its end.
-- read: What was typed into a shell, and what went through a tunnel, is not in the log. A proxy to a node reaches its kubelet, which runs commands without any audit of its own.
-- attack: T1609
-- next: identity-timeline secret-readers distrust
SELECT ts, username, imp_username, subresource, verb, resource, namespace, name, code,
       ROUND(CASE WHEN stage = 'ResponseComplete' THEN latency_ms / 1000 END, 1) AS seconds,
       CASE WHEN subresource = 'proxy' THEN request_uri
            ELSE NULLIF(SPLIT_PART(request_uri, '?', 2), '') END AS asked,
       peer_ip, user_agent, credential, file, line
FROM requests
WHERE subresource IN ('exec', 'attach', 'portforward', 'proxy', 'ephemeralcontainers', 'console', 'vnc')
  AND verb IN ('get', 'create', 'update', 'patch', 'delete')
  AND ($who = '' OR username = $who OR imp_username = $who)
  AND ms >= $from AND ms < $to
ORDER BY ts, file, line
