-- The events that carry any of some identity tokens and were accepted by a moment, each once: which of a person's events
-- were known then, and whom they connect. An event that was recorded twice is one.
SELECT
    xxHash64(event_id) AS event_hash,
    verdict = 'QUARANTINED',
    identity_tokens
FROM events
WHERE workspace = %(workspace)s
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events_by_identifier
        WHERE workspace = %(workspace)s
            AND identity_token IN (%(tokens)s)
    )
    AND accept_time <= fromUnixTimestamp64Micro(%(moment)s, 'UTC')
ORDER BY verdict = 'QUARANTINED' -- of one that was released, what it is since
LIMIT 1 BY event_hash
