-- What some identifiers did that earned anything or might have, in the order in which it was accepted: of what is part of
-- journeys, only that it is. FINAL: of an event that was released, what it is since. Not what an erased person said of
-- somebody else's conversion: that is nobody's.
SELECT
    if(accept_time < fromUnixTimestamp64Micro(%(journeys_since)s, 'UTC'), admitted, ''),
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    identity_tokens,
    toUnixTimestamp64Micro(event_time) AS event_micros,
    kind = 'conversion' AS is_conversion
FROM events FINAL
WHERE workspace = %(workspace)s
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
    )
    AND accept_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND kind IN ('touchpoint', 'conversion')
    AND verdict != 'QUARANTINED'
    AND admitted != ''
    AND notEmpty(identity_tokens)
ORDER BY accept_micros
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
