-- title: Which credential was made with which other one?
-- group: secrets
-- parameter: credential text = | only what was made with this one or is this one; empty for all
-- parameter: nodes text = no | yes shows the tokens that nodes fetch for their Pods
-- needs: issued_credential_id IS NOT NULL | ids of issued tokens: what was made with what cannot be told
-- read: Each line is a token that was minted in this log, with the credential it was minted with and who had made that one in turn. A stolen credential is not the end: everything below it in this list goes on living when it is revoked.
-- read: Ask again with each credential found, until nothing new comes. No `first_use` means that it was not seen since, and it may be in a drawer. Certificates have no such tie.
-- attack: T1528
-- next: tokens-minted blast-radius distrust
SELECT made.minted_at, made.credential, made.username, made.minted_by, made.minted_with,
       parent.credential_kind AS parent_kind, parent.minted_by AS parent_minted_by,
       parent.minted_with AS grandparent, made.first_use, made.last_use, made.requests, made.n_peers,
       made.peers, made.ended_at, made.uses_after_end
FROM credentials AS made LEFT JOIN credentials AS parent ON parent.credential = made.minted_with
WHERE made.minted_at IS NOT NULL
  AND ($credential = '' OR made.minted_with = $credential OR made.credential = $credential)
  AND ($nodes = 'yes' OR COALESCE(made.minted_by, '') NOT LIKE 'system:node:%')
ORDER BY minted_at, credential
