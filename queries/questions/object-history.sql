-- title: What happened to this object, from its creation to its end?
-- group: changes
-- parameter: resource text | plural name of the resource, such as deployments
-- parameter: name text | name of the object
-- parameter: namespace text = | its namespace; empty for any
-- parameter: status text = no | yes shows writes of its status too
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: is_mutating | changes: no request that changes anything is in the log
-- read: Oldest first. `life` goes up with every creation that was served: what stands under one number is one object, the next is only its namesake. `status_writes` counts the writes of the status, which are left out unless asked for.
-- read: What a server names itself (`generateName`) is created without a name in the log, so such a life has no first line; deletions of the whole kind are shown although the object may not have been there. `object_uid` is there only where a client sent it.
-- next: who-deleted identity-timeline
WITH met AS (
  SELECT * FROM requests
  WHERE is_mutating AND resource = $resource AND ($namespace = '' OR namespace = $namespace)
    AND (name = $name OR (verb = 'deletecollection' AND name IS NULL))
    AND COALESCE(request_uri, '') NOT LIKE '%dryRun=All%'
    AND ms >= $from AND ms < $to),
counted AS (
  SELECT COUNT(*) AS status_writes FROM met WHERE subresource = 'status'),
told AS (
  SELECT *, SUM(CASE WHEN verb = 'create' AND subresource IS NULL AND outcome = 'ok' THEN 1 ELSE 0 END)
    OVER (PARTITION BY namespace ORDER BY ms, line) AS life
  FROM met WHERE $status = 'yes' OR COALESCE(subresource, '') <> 'status')
SELECT told.ts, told.life, told.verb, told.subresource, told.namespace, told.name, told.username,
       told.imp_username, told.field_manager, told.code, told.peer_ip, told.object_uid, told.level,
       counted.status_writes, told.file, told.line
FROM told CROSS JOIN counted
ORDER BY ts, file, line
