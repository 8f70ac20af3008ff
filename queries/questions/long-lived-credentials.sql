-- title: Which credentials live longer than they should?
-- group: identity
-- parameter: age duration = 24h | used over more than this counts as long
-- parameter: kinds text = yes | no leaves out kinds that never expire but were used for a shorter time
-- needs: credential IS NOT NULL | credentials: no event offers a key of one
-- read: `used_h` is the time between first and last use in this log, so at most the length of the log; the credential itself may be far older. Tokens in Secrets and in files of the API server never expire and are listed however short they were seen, where the log tells them from others: an old server does not.
-- read: Where the log has no credential ids, a user's several credentials look like one long one.
-- attack: T1528
-- next: credential-use credential-inventory token-after-delete
WITH aged AS (
  SELECT *, EXTRACT(EPOCH FROM last_use) - EXTRACT(EPOCH FROM first_use) AS used_s
  FROM credentials WHERE identity_kind NOT IN ('anonymous', 'none'))
SELECT credential, credential_kind, username, ROUND(used_s / 3600, 2) AS used_h, requests, n_peers,
       n_agents, first_use, last_use, ended_at, ended_object
FROM aged
WHERE used_s * 1000 > $age
   OR ($kinds = 'yes' AND credential_kind IN ('legacy-token', 'static-token'))
ORDER BY used_h DESC, requests DESC, credential
