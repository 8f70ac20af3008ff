-- title: What is different between these two periods?
-- group: changes
-- parameter: a_from time = first | beginning of the first period
-- parameter: a_to time | end of the first period
-- parameter: b_from time | beginning of the second period
-- parameter: b_to time = last | end of the second period
-- parameter: factor number = 3 | how many times more or less often counts as a difference
-- needs: ms IS NOT NULL | time: no event says when it was received
-- read: `new` was not seen in the first period, `gone` not in the second; `more` and `less` compare requests per hour, so the periods may differ in length. Nodes are taken together, since their names are made up.
-- read: A night compared with a day, or a Sunday with a Monday, differs in everything. The log may also have been silent in one of them: ask `silences`.
-- next: first-seen identity-profile silences
WITH counted AS (
  SELECT CASE WHEN identity_kind = 'node' THEN 'system:node:*'
              ELSE COALESCE(actor, '(refused login)') END AS who,
         verb, resource, subresource,
         SUM(CASE WHEN ms >= $a_from AND ms < $a_to THEN 1 ELSE 0 END) AS before_n,
         SUM(CASE WHEN ms >= $b_from AND ms < $b_to THEN 1 ELSE 0 END) AS after_n
  FROM requests
  GROUP BY CASE WHEN identity_kind = 'node' THEN 'system:node:*'
                ELSE COALESCE(actor, '(refused login)') END,
           verb, resource, subresource),
rated AS (
  SELECT *, CAST(before_n AS DOUBLE) * 3600000 / ($a_to - $a_from) AS before_per_h,
         CAST(after_n AS DOUBLE) * 3600000 / ($b_to - $b_from) AS after_per_h
  FROM counted)
SELECT CASE WHEN before_n = 0 THEN 'new' WHEN after_n = 0 THEN 'gone'
            WHEN after_per_h > before_per_h THEN 'more' ELSE 'less' END AS change,
       who, verb, resource, subresource, before_n, after_n,
       ROUND(before_per_h, 1) AS before_per_h, ROUND(after_per_h, 1) AS after_per_h
FROM rated
WHERE before_n + after_n > 0
  AND (before_n = 0 OR after_n = 0 OR after_per_h >= $factor * before_per_h
       OR before_per_h >= $factor * after_per_h)
ORDER BY change DESC, after_n DESC, before_n DESC, who, verb, resource, subresource
