-- title: Who took on the name of another, and who tried?
-- group: identity
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: username IS NOT NULL | names: no event says who it was
-- read: The newest pair stands first. For dashboards and gateways impersonation is daily work; a pair that was not there before, a `system:` name or the group `system:masters` is not.
-- read: A try that was refused does not say whom it was about. Such requests are forbidden before the authorizer is asked, so the log has no decision for them; they stand as `refused`.
-- attack: T1078 T1548
-- next: identity-timeline rbac-changes masters-use
WITH judged AS (
  SELECT COUNT(decision) AS decisions FROM requests),
tries AS (
  SELECT requests.*, CASE WHEN imp_username IS NOT NULL OR imp_groups IS NOT NULL THEN 'acted as'
                          ELSE 'refused' END AS how
  FROM requests CROSS JOIN judged
  WHERE (imp_username IS NOT NULL OR imp_groups IS NOT NULL
      OR (outcome = 'denied' AND username IS NOT NULL
        AND ((decision IS NULL AND judged.decisions > 0) OR message LIKE '%cannot impersonate%')))
    AND ms >= $from AND ms < $to)
SELECT how, username, imp_username AS acted_as, imp_groups AS in_groups, COUNT(*) AS n,
       SUM(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied,
       SUM(CASE WHEN is_mutating THEN 1 ELSE 0 END) AS writes,
       COUNT(DISTINCT resource) AS resources, COUNT(DISTINCT peer_ip) AS peers,
       MIN(peer_ip) AS a_peer, MIN(ts) AS first_time, MAX(ts) AS last_time, MIN(message) AS a_message
FROM tries
GROUP BY how, username, imp_username, imp_groups
ORDER BY first_time DESC, username, acted_as
