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
                /*of_tokens*/
            )
            AND /*home*/
                IN %(tokens)s
        )
        OR conversion_id IN %(conversions)s
    )
ORDER BY
    time,
    event_id
