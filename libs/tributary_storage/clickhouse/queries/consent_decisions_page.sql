-- Some identifiers with all that was decided under them, in the order of their keys, after the last one that was read.
-- FINAL: an event that was recorded twice decided once.
SELECT
    workspace,
    identity_token,
    groupArray((
        toUnixTimestamp64Micro(decision_time),
        states,
        toString(region),
        toString(source),
        allowed_vendors,
        denied_vendors
    )) AS decisions
FROM consent_decisions FINAL
WHERE (workspace, identity_token) > (%(workspace)s, %(identity_token)s)
GROUP BY
    workspace,
    identity_token
ORDER BY
    workspace,
    identity_token
LIMIT %(most)s
