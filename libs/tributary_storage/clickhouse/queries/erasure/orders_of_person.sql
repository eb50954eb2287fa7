-- What observed the conversions of a person, whoever told it, and what the person told until a moment of any: one row per
-- event. What is in quarantine is told as well. Both are found by key first: what is either can be read by none.
SELECT
    toUnixTimestamp64Micro(event_time) AS time,
    event_id,
    conversion_id,
    toUnixTimestamp64Micro(accept_time),
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND admitted != ''
    AND NOT startsWith(conversion_id, 's1:')
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
            AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        UNION ALL
        SELECT
            event_time,
            event_id
        FROM events_by_id
        WHERE workspace = %(workspace)s
            AND event_hash IN
            (
                SELECT xxHash64(event_id)
                FROM events_by_conversion
                WHERE workspace = %(workspace)s
                    AND conversion_id IN %(conversions)s
                    AND kind = 'conversion'
            )
    )
    AND (
        conversion_id IN %(conversions)s
        OR (
            event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
            AND /*home*/
                IN %(tokens)s
        )
    )
ORDER BY
    time,
    event_id
