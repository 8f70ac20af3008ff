-- title: Who deleted or changed this object?
-- group: changes
-- parameter: resource text | plural name of the resource, such as deployments
-- parameter: name text = | name of the object; empty for all of them
-- parameter: namespace text = | its namespace; empty for all
-- parameter: deletions text = no | yes leaves out changes
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: is_mutating AND outcome = 'ok' | changes and deletions: no served one is in the log
-- read: Newest first. `target` says how the object was met: a deletion of its whole kind (`kubectl delete --all`) carries no name, and its namespace may have been deleted around it.
-- read: If the garbage collector or the namespace controller did it, ask for the owner or the namespace instead; if a program did it, ask which credential that was and where it came from. An object with finalizers outlives its deletion. Dry runs are left out where the address shows them.
-- attack: T1485
-- next: object-history identity-timeline credential-use
SELECT ts, username, imp_username, verb,
       CASE WHEN resource = 'namespaces' AND $resource <> 'namespaces' THEN 'its namespace'
            WHEN verb = 'deletecollection' AND name IS NULL THEN 'all of its kind'
            ELSE 'the object' END AS target,
       api_group, subresource, namespace, name, code, peer_ip, user_agent, credential, field_manager,
       file, line
FROM requests
WHERE outcome = 'ok'
  AND (verb IN ('delete', 'deletecollection') OR (verb IN ('update', 'patch') AND $deletions <> 'yes'))
  AND ((resource = $resource AND ($namespace = '' OR namespace = $namespace)
        AND ($name = '' OR name = $name OR (verb = 'deletecollection' AND name IS NULL)))
    OR (resource = 'namespaces' AND verb = 'delete' AND $namespace <> '' AND name = $namespace))
  AND COALESCE(subresource, '') <> 'status'
  AND COALESCE(request_uri, '') NOT LIKE '%dryRun=All%'
  AND ms >= $from AND ms < $to
ORDER BY ts DESC, file, line
