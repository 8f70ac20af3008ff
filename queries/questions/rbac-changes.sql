-- title: Who gave or took rights?
-- group: changes
-- parameter: startup text = no | yes shows what the API server itself writes while it starts
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: is_mutating | changes: no request that changes anything is in the log
-- needs: role_ref IS NOT NULL | what bindings grant: no body of one is in the log
-- read: Oldest first, refused tries too. `granted` is the role a binding gives, and says `not logged` where the policy kept no body; then the reason the authorizer gave for a later request tells what was granted (`bindings-used`).
-- read: To give a binding another role it has to be deleted and made again. A role can grow without being written: a label on another one adds that to an aggregated role. On EKS the ConfigMap `aws-auth` grants too and is shown; access entries of a cloud are not in this log.
-- attack: T1098.006
-- next: denied-then-allowed bindings-used identity-timeline
SELECT ts, username, imp_username, verb, resource, namespace, name,
       CASE WHEN role_ref IS NOT NULL THEN role_ref
            WHEN verb IN ('delete', 'deletecollection') THEN NULL
            WHEN level = 'Metadata' THEN 'not logged'
            ELSE 'see the event' END AS granted,
       subjects, code, peer_ip, user_agent, credential, level, file, line
FROM requests
WHERE is_mutating
  AND (api_group = 'rbac.authorization.k8s.io'
       OR (resource = 'configmaps' AND namespace = 'kube-system' AND name = 'aws-auth'))
  AND ($startup = 'yes' OR COALESCE(username, '') <> 'system:apiserver')
  AND COALESCE(request_uri, '') NOT LIKE '%dryRun=All%'
  AND ms >= $from AND ms < $to
ORDER BY ts, file, line
