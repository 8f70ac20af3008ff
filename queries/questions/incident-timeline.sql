-- title: How did this incident unfold?
-- group: aftermath
-- parameter: incident text = | id of the incident, or its beginning; empty for all
-- parameter: rank number = 1 | lowest severity that is shown: 0 informational, 1 low, 2 medium, 3 high, 4 critical
-- needs: ms IS NOT NULL | time: no event says when it was received
-- read: The findings of an incident in the order in which they began: the story, one sentence a line. `after_s` counts the seconds from its first one.
-- read: What holds an incident together may be an address only; then two people behind one gateway tell one story.
-- next: blast-radius distrust worst-actors
WITH told AS (
  SELECT *, MIN(first_ms) OVER (PARTITION BY incident_id) AS start_ms
  FROM findings
  WHERE incident_id IS NOT NULL AND severity_rank >= $rank
    AND ($incident = '' OR STARTS_WITH(incident_id, $incident)))
SELECT incident_id, first_seen, ROUND(CAST(first_ms - start_ms AS DOUBLE) / 1000, 1) AS after_s, severity, family,
       rule, summary, username, impersonated, credential, namespace, name, count, last_seen, finding_id
FROM told
ORDER BY start_ms, incident_id, first_ms, rule, finding_id
