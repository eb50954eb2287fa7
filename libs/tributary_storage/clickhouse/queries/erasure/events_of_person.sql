-- The events of a person until a moment: those whose most telling identifier is theirs, and all of their conversions.
SELECT DISTINCT
    toUnixTimestamp64Micro(event_time) AS time,
    event_id
FROM events
WHERE workspace = %(workspace)s
    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND
    (
        (
            (event_time, event_id) IN
            (
                SELECT
                    event_time,
                    event_id
                FROM events_by_identifier
                WHERE workspace = %(workspace)s
                    AND identity_token IN %(tokens)s
            )
            AND arraySort(t -> (indexOf(['customer', 'email', 'phone', 'visitor', 'device', 'other'], splitByChar(':', t)[1]), t), identity_tokens)[1]
                IN %(tokens)s
        )
        OR conversion_id IN %(conversions)s
    )
ORDER BY
    time,
    event_id
