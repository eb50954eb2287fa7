-- One page of the events that observed a conversion since conversions live, in event order, after the last one that was
-- read: which conversions may be credited anew, and as what paths they are counted.
SELECT
    toUnixTimestamp64Micro(event_time) AS event_micros,
    event_id,
    conversion_id
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(event_time)s, 'UTC')
    AND (event_time, event_id) > (fromUnixTimestamp64Micro(%(event_time)s, 'UTC'), %(event_id)s)
    AND accept_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND accept_time >= fromUnixTimestamp64Micro(%(ties_since)s, 'UTC')
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND NOT startsWith(conversion_id, 's1:')
ORDER BY
    event_time,
    event_id
LIMIT %(limit)s
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
