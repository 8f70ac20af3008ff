-- title: Who holds what kind of credential?
-- group: identity
-- parameter: kind text = | one kind, such as x509 or legacy-token; empty for all
-- needs: credential IS NOT NULL | credentials: no event offers a key of one
-- read: One line for each identity and kind, the most credentials first. More than one kind for one identity, or a person with a token of a service account's kind, is what to ask about.
-- read: The kind is as far as the log can tell: before Kubernetes 1.32 certificates and static tokens of a user look alike and count as one. A Pod renews its token about hourly, so many bound tokens are no wonder.
-- next: long-lived-credentials credential-use
SELECT username, identity_kind, credential_kind, COUNT(*) AS credentials, SUM(requests) AS requests,
       MAX(n_peers) AS most_peers, MAX(n_agents) AS most_agents,
       SUM(CASE WHEN minted_at IS NULL THEN 0 ELSE 1 END) AS minted_in_log,
       SUM(CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END) AS ended_in_log,
       MIN(first_use) AS first_time, MAX(last_use) AS last_time
FROM credentials
WHERE $kind = '' OR credential_kind = $kind
GROUP BY username, identity_kind, credential_kind
ORDER BY credentials DESC, requests DESC, username, credential_kind
