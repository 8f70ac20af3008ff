-- title: Who has seen this Secret, or could have?
-- group: secrets
-- parameter: namespace text | namespace of the Secret
-- parameter: name text = | its name; empty for any of the namespace
-- parameter: reach text = yes | no leaves out who could have read it in a Pod
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: resource = 'secrets' AND verb IN ('get', 'list', 'watch') | reads of Secrets: no such request is in the log
-- read: `how` says how sure it is: the Secret itself, a list of its namespace, a list of the cluster, a write (its answer holds the Secret, even for someone who may not read), and at the end those who ran something in the namespace and could have read it there.
-- read: A Pod that mounts a Secret makes its node's kubelet read it, under the node's name. What an API server holds in etcd or a backup can be read without any request. A list with a label may not have held this one, and a table for the screen holds names only: the log does not show which.
-- attack: T1552.007
-- next: exposed-credentials identity-timeline interactive-access
SELECT ts,
       CASE WHEN resource <> 'secrets' AND verb = 'create' AND subresource IS NULL
              THEN 'could: workload made'
            WHEN resource <> 'secrets' THEN 'could: shell in a Pod'
            WHEN is_mutating THEN 'answer to a write'
            WHEN name IS NOT NULL THEN 'the Secret'
            WHEN namespace IS NOT NULL THEN 'list of the namespace'
            ELSE 'list of the cluster' END AS how,
       username, imp_username, credential, verb, resource, namespace, name, code, peer_ip,
       agent_family, authz_reason, file, line
FROM requests
WHERE outcome = 'ok' AND ms >= $from AND ms < $to
  AND ((resource = 'secrets' AND verb IN ('get', 'list', 'watch', 'create', 'update', 'patch')
        AND (namespace = $namespace OR namespace IS NULL)
        AND ($name = '' OR name = $name OR (name IS NULL AND verb IN ('list', 'watch'))))
    OR ($reach = 'yes' AND namespace = $namespace
        AND identity_kind IN ('user', 'serviceaccount', 'anonymous')
        AND NOT (username LIKE 'system:serviceaccount:kube-system:%-controller'
                 AND COALESCE(agent_family, '') = 'kube-controller-manager')
        AND (subresource IN ('exec', 'attach', 'ephemeralcontainers')
          OR (verb = 'create' AND subresource IS NULL
              AND resource IN ('pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
                               'replicationcontrollers', 'jobs', 'cronjobs')))))
ORDER BY ts, file, line
