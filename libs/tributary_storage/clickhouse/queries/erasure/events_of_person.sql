-- The events of a person until a moment: those whose most telling identifier is theirs, and of their conversions all that
-- were accepted while these were theirs. What is accepted later is what somebody else tells of an order of before.
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
        OR (
            conversion_id IN %(conversions)s
            AND accept_time <= fromUnixTimestamp64Micro(%(there_until)s, 'UTC')
        )
    )
ORDER BY
    time,
    event_id
