-- title: What did this identity do, one request after the other?
-- group: identity
-- parameter: who text | user name, such as alice or system:serviceaccount:NAMESPACE:NAME
-- parameter: gap duration = 30m | a silence longer than this starts a new session
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: username IS NOT NULL | names: no event says who it was
-- read: `session` is when the session of this credential, address and program began; requests of one session belong together, and two sessions at once are two programs or two people.
-- read: What others did as this identity is shown too, with the real name in `username`. Several people may share a name behind a login proxy, and the Pods of a service account always do.
-- next: credential-use identity-profile blast-radius
WITH own AS (
  SELECT *, ms - LAG(ms) OVER (PARTITION BY username, credential, peer_ip, agent_family
                               ORDER BY ms, line) AS pause
  FROM requests
  WHERE (username = $who OR imp_username = $who) AND ms >= $from AND ms < $to),
numbered AS (
  SELECT *, SUM(CASE WHEN pause IS NULL OR pause > $gap THEN 1 ELSE 0 END)
    OVER (PARTITION BY username, credential, peer_ip, agent_family ORDER BY ms, line) AS session_no
  FROM own)
SELECT ts, MIN(ts) OVER (PARTITION BY username, credential, peer_ip, agent_family, session_no) AS session,
       username, imp_username, verb, resource, subresource, namespace, name,
       CASE WHEN resource IS NULL OR subresource IN ('exec', 'attach', 'proxy', 'portforward')
            THEN request_uri END AS uri,
       code, peer_ip, agent_family, credential, authz_reason, file, line
FROM numbered
ORDER BY ts, file, line
