-- The same of the rows that `conversions` has of them, at the times of their conversions.
SELECT
    conversion_id,
    cityHash64(/*newest_columns*/)
FROM conversions
PREWHERE conversion_time IN (SELECT fromUnixTimestamp64Micro(arrayJoin(%(times)s), 'UTC'))
    AND (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
    AND NOT is_deleted
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 8192
