-- The recorded events of some people and of some conversions, oldest first: what a repair brings to attribution again.
SELECT
    verdict,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    traceparent,
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events_by_identifier
        WHERE workspace = %(workspace)s
            AND identity_token IN %(tokens)s
        UNION ALL
        SELECT
            event_time,
            event_id
        FROM events
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(conversions)s
    )
ORDER BY
    event_time,
    event_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
