-- The recorded events of some people and of some conversions, oldest first: what a repair brings to attribution again. Of a
-- sighting, which identifiers it shows together. Without what was stripped because its person was erased.
SELECT
    verdict,
    admitted,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    traceparent,
    toUnixTimestamp64Micro(event_time) AS event_micros,
    event_id,
    identity_tokens
FROM events FINAL
WHERE workspace = %(workspace)s
    AND (admitted != '' OR length(identity_tokens) > 1)
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
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
