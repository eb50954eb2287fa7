-- The events that carry any of some identity tokens and were accepted by a moment, each once: which of a person's events
-- were known then, and whom they connect. An event that was recorded twice is one; one that was released after the moment
-- waited in quarantine then.
WITH waiting AS
(
    SELECT event_id
    FROM quarantine_decisions
    WHERE workspace = %(workspace)s
        AND action = 'RELEASED'
        AND decide_time > fromUnixTimestamp64Micro(%(moment)s, 'UTC')
        AND first_accept_time <= fromUnixTimestamp64Micro(%(moment)s, 'UTC')
)
SELECT
    xxHash64(event_id) AS event_hash,
    verdict = 'QUARANTINED' OR event_id IN (SELECT event_id FROM waiting) AS is_quarantined,
    identity_tokens,
    toUnixTimestamp64Micro(event_time),
    if(kind = 'conversion' AND NOT startsWith(conversion_id, 's1:'), conversion_id, '')
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
    AND (
        accept_time <= fromUnixTimestamp64Micro(%(moment)s, 'UTC')
        OR event_id IN (SELECT event_id FROM waiting)
    )
ORDER BY is_quarantined -- of one that was released by then, what it was since
LIMIT 1 BY event_hash
