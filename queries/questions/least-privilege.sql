-- title: Which rights did this identity really need?
-- group: platform
-- parameter: who text | user name, such as system:serviceaccount:NAMESPACE:NAME
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: username IS NOT NULL | names: no event says who it was
-- read: A line is a rule of a role: in `namespace` (none: cluster-wide), the verb on the resource. What the authorizer let through counts, found or not, since asking for what is missing needs the right too. `only_name` is given where a rule can be narrowed to it: never for create or a list without a name.
-- read: A shell needs `create` whatever the verb in the log, and from 1.35 on `get` too; a patch or update that created needs `create` besides: `also`. What somebody else did as this identity counts; rights to act as others are listed as `impersonate`. What runs once a month is only in a log that long: look at `first_time` and `last_time`. A member of `system:masters` needs no role and shows none of this.
-- next: bindings-used identity-profile
WITH allowed AS (
  SELECT namespace, api_group, COALESCE(resource, SPLIT_PART(request_uri, '?', 1)) AS what,
         subresource, name, ts, ms, code,
         CASE WHEN subresource IN ('exec', 'attach', 'portforward') THEN 'create' ELSE verb END AS needed,
         CASE WHEN subresource IN ('exec', 'attach', 'portforward') AND verb = 'get' THEN 'get'
              WHEN verb IN ('patch', 'update') AND subresource IS NULL AND code = 201 THEN 'create'
              END AS also
  FROM requests
  WHERE actor = $who AND ms >= $from AND ms < $to
    AND (decision = 'allow' OR (decision IS NULL AND outcome IN ('ok', 'error')))
  UNION ALL
  SELECT CAST(NULL AS VARCHAR) AS namespace, CAST(NULL AS VARCHAR) AS api_group,
         CASE WHEN imp_username LIKE 'system:serviceaccount:%' THEN 'serviceaccounts' ELSE 'users' END
           AS what,
         CAST(NULL AS VARCHAR) AS subresource, imp_username AS name, ts, ms, code,
         'impersonate' AS needed, CAST(NULL AS VARCHAR) AS also
  FROM requests
  WHERE username = $who AND imp_username IS NOT NULL AND ms >= $from AND ms < $to),
counted AS (
  SELECT namespace, api_group, what, subresource, needed, MIN(also) AS also, MIN(name) AS a_name,
         COUNT(name) AS named, COUNT(DISTINCT name) AS names, COUNT(*) AS n, MIN(ts) AS first_time,
         MAX(ts) AS last_time
  FROM allowed
  GROUP BY namespace, api_group, what, subresource, needed)
SELECT namespace, api_group, what, subresource, needed AS verb, also,
       CASE WHEN needed NOT IN ('create', 'deletecollection') AND named = n AND names = 1 THEN a_name END
         AS only_name,
       names, n, first_time, last_time
FROM counted
ORDER BY namespace, api_group, what, subresource, verb
