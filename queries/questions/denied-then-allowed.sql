-- title: Whose refusals turned into permissions?
-- group: attack
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: outcome IS NOT NULL | outcomes: every event is of the stage RequestReceived
-- read: The same identity, verb and resource in the same namespace, refused by the authorizer and served afterwards. `allowed_by` is the binding that made the difference: who wrote it is in `rbac-changes` between the two times.
-- read: `before` counts how often it had been served before the first refusal: 0 is a gain of rights; more means that rights were lost and came back, or that a role is for single names. Refusals by admission, quota or a full namespace are left out, where the log has the authorizer's decision.
-- attack: T1098.006
-- next: rbac-changes identity-timeline bindings-used
WITH refused AS (
  SELECT actor, verb, COALESCE(resource, SPLIT_PART(request_uri, '?', 1)) AS what,
         COALESCE(subresource, '') AS sub, COALESCE(namespace, '') AS ns,
         MIN(ms) AS denied_ms, MIN(ts) AS denied_at, COUNT(*) AS denied_n
  FROM requests
  WHERE outcome = 'denied' AND COALESCE(decision, 'forbid') <> 'allow' AND actor IS NOT NULL
    AND ms >= $from AND ms < $to
  GROUP BY actor, verb, COALESCE(resource, SPLIT_PART(request_uri, '?', 1)),
           COALESCE(subresource, ''), COALESCE(namespace, '')),
served AS (
  SELECT refused.actor, refused.verb, refused.what, refused.sub, refused.ns, refused.denied_at,
         refused.denied_n, requests.ts, requests.authz_reason, requests.peer_ip,
         requests.ms > refused.denied_ms AS is_after,
         ROW_NUMBER() OVER (PARTITION BY refused.actor, refused.verb, refused.what, refused.sub,
                              refused.ns, requests.ms > refused.denied_ms
                            ORDER BY requests.ms, requests.line) AS place
  FROM (SELECT *, COALESCE(resource, SPLIT_PART(request_uri, '?', 1)) AS what,
               COALESCE(subresource, '') AS sub, COALESCE(namespace, '') AS ns
        FROM requests WHERE outcome = 'ok' AND ms < $to) AS requests
  JOIN refused ON refused.actor = requests.actor AND refused.verb = requests.verb
    AND refused.what = requests.what AND refused.sub = requests.sub AND refused.ns = requests.ns)
SELECT denied_at, MIN(CASE WHEN is_after THEN ts END) AS allowed_at, actor, verb, what, sub, ns, denied_n,
       SUM(CASE WHEN is_after THEN 1 ELSE 0 END) AS allowed_n,
       SUM(CASE WHEN is_after THEN 0 ELSE 1 END) AS before,
       MIN(CASE WHEN is_after AND place = 1 THEN authz_reason END) AS allowed_by,
       MIN(CASE WHEN is_after AND place = 1 THEN peer_ip END) AS a_peer
FROM served
GROUP BY denied_at, actor, verb, what, sub, ns, denied_n
HAVING SUM(CASE WHEN is_after THEN 1 ELSE 0 END) > 0
ORDER BY denied_at, actor, verb, what, sub, ns
