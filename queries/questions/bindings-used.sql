-- title: Which bindings let requests through?
-- group: platform
-- parameter: role text = | only bindings of this role, such as cluster-admin; empty for all
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: authz_reason LIKE 'RBAC: allowed by%' | reasons of the authorizer: which binding let a request through cannot be told
-- read: What is bound in the cluster and not in this list was not needed in this time: compare with `kubectl get rolebindings,clusterrolebindings -A`. Also the place to see who has what after an unlogged grant.
-- read: Where two bindings would do, the authorizer names one and the other seems idle. Requests of `system:masters` and of nodes need none.
-- next: least-privilege rbac-changes
SELECT SPLIT_PART(SPLIT_PART(authz_reason, '"', 1), ' ', 4) AS binding_kind,
       SPLIT_PART(authz_reason, '"', 2) AS binding,
       SPLIT_PART(SPLIT_PART(authz_reason, '"', 3), ' ', 3) AS role_kind,
       SPLIT_PART(authz_reason, '"', 4) AS role,
       SPLIT_PART(SPLIT_PART(authz_reason, '"', 5), ' ', 3) || ' '
         || SPLIT_PART(authz_reason, '"', 6) AS subject,
       COUNT(*) AS n, COUNT(DISTINCT actor) AS actors, MIN(actor) AS an_actor,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       MIN(ts) AS first_time, MAX(ts) AS last_time
FROM requests
WHERE authz_reason LIKE 'RBAC: allowed by%'
  AND ($role = '' OR SPLIT_PART(authz_reason, '"', 4) = $role)
  AND ms >= $from AND ms < $to
GROUP BY authz_reason
ORDER BY n DESC, binding, subject
