-- What events decided about consent to purposes under any of some identity tokens, with the hash of the event that says so.
-- FINAL: an event that was recorded twice decided once.
SELECT
    xxHash64(event_id) AS event_hash,
    toUnixTimestamp64Micro(decision_time),
    states,
    toString(region),
    toString(source)
FROM consent_decisions FINAL
WHERE workspace = %(workspace)s
    AND identity_token IN (%(tokens)s)
    AND states > 0
ORDER BY
    decision_time,
    event_hash
