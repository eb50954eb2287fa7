-- Which conversions the days of a run have (`of_days`), in order of their ids, after the last one that was read; also those
-- of which only `conversion_revisions` knows: their row in `conversions` is lost.
SELECT DISTINCT conversion_id
FROM
(
/*of_days*/
UNION ALL
SELECT
    conversion_id,
    revision
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND /*in_days*/
    AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND NOT startsWith(conversion_id, 's1:')
)
WHERE conversion_id > %(after)s
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
