-- title: Who asked for tokens, and where did those turn up?
-- group: secrets
-- parameter: kubelets text = no | yes shows the tokens that nodes fetch for their Pods
-- parameter: from time = first | beginning of the time looked at
-- parameter: to time = last | end of the time looked at
-- needs: resource = 'serviceaccounts' AND subresource = 'token' | token requests: none is in the log
-- needs: issued_credential_id IS NOT NULL | ids of issued tokens: which token was used cannot be told
-- read: Kubelets fetch tokens for their Pods all day; what anything else asked for is shown. `used` is `yes`, `not in this log`, or `cannot be told` where the log does not name the token; the last is no comfort.
-- read: `other_peers` counts the uses that came from another address than the request for it. For a job that is as it should be; for a person it means that the token was handed on.
-- attack: T1528
-- next: credential-lineage credential-use token-after-delete
WITH minted AS (
  SELECT * FROM requests
  WHERE resource = 'serviceaccounts' AND subresource = 'token' AND verb = 'create' AND outcome = 'ok'
    AND ($kubelets = 'yes' OR identity_kind <> 'node')
    AND ms >= $from AND ms < $to),
used AS (
  SELECT minted.issued_credential_id AS id, MIN(requests.ts) AS first_use, MAX(requests.ts) AS last_use,
         COUNT(*) AS uses, COUNT(DISTINCT requests.peer_ip) AS peers, MIN(requests.peer_ip) AS a_peer,
         SUM(CASE WHEN requests.peer_ip <> minted.peer_ip THEN 1 ELSE 0 END) AS other_peers
  FROM minted JOIN requests ON requests.credential_id = minted.issued_credential_id
  GROUP BY minted.issued_credential_id)
SELECT minted.ts, minted.username AS minted_by, minted.credential AS minted_with,
       minted.peer_ip AS minted_from, minted.namespace, minted.name AS service_account,
       minted.issued_credential_id,
       CASE WHEN minted.issued_credential_id IS NULL THEN 'cannot be told'
            WHEN used.uses IS NULL THEN 'not in this log' ELSE 'yes' END AS used,
       used.uses, used.first_use, used.last_use, used.peers, used.a_peer AS used_from, used.other_peers,
       minted.user_agent, minted.file, minted.line
FROM minted LEFT JOIN used ON used.id = minted.issued_credential_id
ORDER BY ts, file, line
