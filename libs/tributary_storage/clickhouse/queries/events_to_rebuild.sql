-- One page of what the state store was made of, in event order, after the last event that was read: of the events that
-- were accepted since journeys live, all; of older ones, those that say who is who or belong to a conversion. Of a
-- sighting, which identifiers it shows together. Without what comes through the event log, and what was stripped because
-- its person was erased. FINAL: of an event that was released, what it is since.
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
    AND event_time >= fromUnixTimestamp64Micro(%(event_time)s, 'UTC')
    AND (event_time, event_id) > (fromUnixTimestamp64Micro(%(event_time)s, 'UTC'), %(event_id)s)
    AND accept_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND (admitted != '' OR length(identity_tokens) > 1)
    AND
    (
        accept_time >= fromUnixTimestamp64Micro(%(journeys_since)s, 'UTC')
        OR
        (
            accept_time >= fromUnixTimestamp64Micro(%(ties_since)s, 'UTC')
            AND (length(identity_tokens) > 1 OR kind IN ('conversion', 'adjustment'))
        )
    )
ORDER BY
    event_time,
    event_id
LIMIT %(limit)s
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
