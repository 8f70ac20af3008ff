-- title: Who has the worst findings?
-- group: aftermath
-- parameter: rank number = 0 | lowest severity that counts: 0 informational, 1 low, 2 medium, 3 high, 4 critical
-- needs: username IS NOT NULL | names: no event says who it was
-- read: One line for each identity that findings are about, the worst first. Many mild findings are less than one bad one, and an administrator at work has many mild ones.
-- read: Findings without a name are those about refused logins and about the log itself.
-- next: incident-timeline identity-timeline blast-radius
SELECT COALESCE(username, '(nobody named)') AS who, MIN(identity_kind) AS identity_kind,
       CASE WHEN MAX(severity_rank) = 4 THEN 'critical' WHEN MAX(severity_rank) = 3 THEN 'high'
            WHEN MAX(severity_rank) = 2 THEN 'medium' WHEN MAX(severity_rank) = 1 THEN 'low'
            ELSE 'informational' END AS worst,
       MAX(severity_rank) AS worst_rank,
       COUNT(*) AS findings, SUM(CASE WHEN severity_rank >= 3 THEN 1 ELSE 0 END) AS high_or_worse,
       COUNT(DISTINCT rule) AS rules, COUNT(DISTINCT family) AS families,
       COUNT(DISTINCT incident_id) AS incidents, COUNT(DISTINCT credential) AS credentials,
       MIN(first_seen) AS first_time, MAX(last_seen) AS last_time
FROM findings
WHERE severity_rank >= $rank
GROUP BY COALESCE(username, '(nobody named)')
ORDER BY worst_rank DESC, high_or_worse DESC, findings DESC, who
