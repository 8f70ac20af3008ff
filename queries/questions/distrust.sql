-- title: If this identity fell, who fell with it?
-- group: aftermath
-- parameter: who text | the user name that fell, such as system:serviceaccount:NAMESPACE:NAME
-- parameter: credential text = | only what was done with this credential of it; empty for all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: outcome = 'ok' | served requests: there are none in the log
-- read: Every identity, Secret or right it can have taken since then: one step. `gained` is a user name wherever the log allows; ask again with each of them as `who` and its `since` as `from`, until nothing new comes. That is the list to rotate.
-- read: `later` counts requests made under the gained name after that moment: 0 does not clear it. A shell in a Pod whose service account the log does not tell stays as the Pod. A list of Secrets stands for every Secret in it.
-- next: exposed-credentials blast-radius denied-then-allowed
WITH done AS (
  SELECT * FROM requests
  WHERE (username = $who OR imp_username = $who)
    AND ($credential = '' OR credential = $credential)
    AND outcome = 'ok' AND ms >= $from AND ms < $to),
pods AS (
  SELECT sa_namespace, token_pod, MIN(username) AS pod_username
  FROM requests WHERE token_pod IS NOT NULL AND sa_namespace IS NOT NULL
  GROUP BY sa_namespace, token_pod),
holders AS (
  SELECT sa_namespace, legacy_secret, MIN(username) AS secret_username
  FROM requests WHERE legacy_secret IS NOT NULL AND sa_namespace IS NOT NULL
  GROUP BY sa_namespace, legacy_secret),
ways AS (
  SELECT 'minted a token of' AS how, 'system:serviceaccount:' || namespace || ':' || name AS gained,
         ts, line
  FROM done
  WHERE resource = 'serviceaccounts' AND subresource = 'token' AND verb = 'create'
  UNION ALL
  SELECT 'ran a workload as' AS how,
         'system:serviceaccount:' || namespace || ':' || pod_service_account AS gained, ts, line
  FROM done
  WHERE verb IN ('create', 'update', 'patch') AND pod_service_account IS NOT NULL
    AND COALESCE(subresource, '') <> 'status'
  UNION ALL
  SELECT CASE WHEN imp_groups LIKE '%"system:masters"%' THEN 'acted in system:masters as'
              ELSE 'acted as' END AS how, imp_username AS gained, ts, line
  FROM done WHERE imp_username IS NOT NULL AND imp_username <> $who
  UNION ALL
  SELECT 'read the Secret of' AS how,
         COALESCE(holders.secret_username, 'Secret ' || COALESCE(done.namespace, '*') || '/'
                  || COALESCE(done.name, '*')) AS gained, done.ts, done.line
  FROM done LEFT JOIN holders ON holders.sa_namespace = done.namespace
    AND holders.legacy_secret = done.name
  WHERE done.resource = 'secrets' AND done.verb IN ('get', 'list', 'watch', 'update', 'patch')
  UNION ALL
  SELECT 'got a shell in' AS how,
         COALESCE(pods.pod_username, 'Pod ' || COALESCE(done.namespace, '*') || '/'
                  || COALESCE(done.name, '*')) AS gained, done.ts, done.line
  FROM done LEFT JOIN pods ON pods.sa_namespace = done.namespace AND pods.token_pod = done.name
  WHERE done.subresource IN ('exec', 'attach', 'ephemeralcontainers')
    AND done.verb IN ('get', 'create', 'update', 'patch')
  UNION ALL
  SELECT 'reached the kubelet of' AS how, 'system:node:' || name AS gained, ts, line
  FROM done WHERE resource = 'nodes' AND subresource = 'proxy'
  UNION ALL
  SELECT 'made a Secret' AS how,
         'Secret ' || COALESCE(namespace, '*') || '/' || COALESCE(name, '*') AS gained, ts, line
  FROM done WHERE resource = 'secrets' AND verb = 'create'
  UNION ALL
  SELECT 'asked for or approved a certificate' AS how,
         'certificate request ' || COALESCE(name, '*') AS gained, ts, line
  FROM done
  WHERE resource = 'certificatesigningrequests' AND verb IN ('create', 'update', 'patch')
    AND COALESCE(subresource, 'approval') = 'approval'
  UNION ALL
  SELECT 'changed rights' AS how,
         resource || ' ' || COALESCE(namespace || '/', '') || COALESCE(name, '*')
           || COALESCE(': ' || role_ref, '') || COALESCE(' to ' || subjects, '') AS gained, ts, line
  FROM done
  WHERE api_group = 'rbac.authorization.k8s.io' AND verb IN ('create', 'update', 'patch')),
reached AS (
  SELECT how, gained, MIN(ts) AS since, COUNT(*) AS n, MIN(line) AS line
  FROM ways WHERE gained IS NOT NULL GROUP BY how, gained),
lived AS (
  SELECT reached.how, reached.gained, COUNT(*) AS later, MAX(requests.ts) AS last_time
  FROM reached JOIN requests ON requests.username = reached.gained
  WHERE requests.ts > reached.since
  GROUP BY reached.how, reached.gained)
SELECT reached.since, reached.how, reached.gained, reached.n, COALESCE(lived.later, 0) AS later,
       lived.last_time, reached.line
FROM reached LEFT JOIN lived ON lived.how = reached.how AND lived.gained = reached.gained
ORDER BY since, how, gained
