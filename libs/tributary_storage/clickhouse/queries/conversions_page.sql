-- One page of conversions by time and id, the order of the table. FINAL: a corrected time leaves a tombstone. Without
-- what an erasure severed: it is frozen.
SELECT
    toUnixTimestamp64Micro(conversion_time),
    conversion_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND NOT startsWith(conversion_id, 's1:')
    AND (%(any_name)s OR name IN %(names)s)
    AND (conversion_time, conversion_id) > (fromUnixTimestamp64Micro(%(at)s, 'UTC'), %(after_id)s)
ORDER BY
    conversion_time,
    conversion_id
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
