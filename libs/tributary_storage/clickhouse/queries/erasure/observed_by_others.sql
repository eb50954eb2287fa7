-- What others observed until a moment of a person's conversions, while these were the person's, on a device that is not;
-- under the random ids that the events of these have once they are stripped (`strip_events`).
-- FINAL after what was ever said of these is found by index: an event is what it is since.
SELECT
    toUnixTimestamp64Micro(event_time) AS time,
    event_id,
    concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), conversion_id)))),
    toUnixTimestamp64Micro(accept_time),
    admitted,
    identity_tokens
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND accept_time <= fromUnixTimestamp64Micro(%(there_until)s, 'UTC')
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND admitted != ''
    AND conversion_id IN %(conversions)s
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events
        PREWHERE conversion_id IN %(conversions)s
        WHERE workspace = %(workspace)s
    )
    AND notEmpty(identity_tokens)
    AND /*home*/
        NOT IN %(tokens)s
ORDER BY
    time,
    event_id
