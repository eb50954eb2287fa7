-- The newest revision that `conversion_revisions` has of each conversion of the days of a run, in order of their ids, after
-- the last one that was read: its number, and when its conversion was. Reads none of the wide columns.
-- Left out: what was published so lately that its row may be on its way.
SELECT
    conversion_id,
    newest.1,
    newest.2
FROM
(
    SELECT
        conversion_id,
        max((revision, toUnixTimestamp64Micro(conversion_time), publish_time)) AS newest
    FROM conversion_revisions FINAL
    PREWHERE conversion_id GLOBAL IN (/*published_in_days*/)
    WHERE workspace = %(workspace)s
        AND conversion_id > %(after)s
    GROUP BY conversion_id
)
WHERE newest.3 <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
