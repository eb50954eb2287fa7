-- What `conversions` has of some conversions, at the times where these were: by key, as `newest_rows` does without them.
SELECT /*newest_columns*/
FROM conversions FINAL
PREWHERE conversion_time IN (SELECT fromUnixTimestamp64Micro(arrayJoin(%(times)s), 'UTC'))
    AND conversion_id IN %(conversions)s
WHERE workspace = %(workspace)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
