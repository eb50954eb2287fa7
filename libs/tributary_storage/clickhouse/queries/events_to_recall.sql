-- The touches and conversions of some people that happened between two moments, by their identity tokens, the newest
-- first: what their journeys have forgotten. Without what was stripped because its person was erased. FINAL: of an event
-- that was released, what it is since.
SELECT
    verdict,
    admitted,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    traceparent
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND kind IN ('touchpoint', 'conversion', 'erased')
    AND admitted != ''
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
            AND event_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC')
            AND event_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
            AND kind IN ('touchpoint', 'conversion')
    )
ORDER BY
    event_time DESC,
    event_id DESC
LIMIT %(limit)s
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
