-- Conversions that have a row in `conversions` of the newest revision that `conversion_revisions` has which may say
-- otherwise: all columns that both tables have are compared by a digest, so that what is alike never leaves. Without FINAL,
-- which would take the memory of all columns of all parts at once: what a later version has replaced may be among them.
-- Left out: what was published so lately that its row may be on its way.
SELECT conversion_id
FROM
(
    SELECT
        conversion_id,
        maxIf(publish_time, NOT is_row) AS published,
        maxIf(revision, NOT is_row) AS newest,
        arrayFilter(one -> one.1 = newest, groupUniqArray((revision, digest, is_row))) AS versions
    FROM
    (
        SELECT
            conversion_id,
            revision,
            publish_time,
            cityHash64(/*newest_columns*/) AS digest,
            false AS is_row
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND conversion_id GLOBAL IN (/*published_in_days*/)
        UNION ALL
        SELECT
            conversion_id,
            revision,
            publish_time,
            cityHash64(/*newest_columns*/) AS digest,
            true AS is_row
        FROM conversions
        WHERE workspace = %(workspace)s
            AND NOT is_deleted
            AND conversion_id GLOBAL IN (/*published_in_days*/)
    )
    GROUP BY conversion_id
)
WHERE published <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND arrayExists(one -> one.3, versions)
    AND arrayUniq(arrayMap(one -> one.2, versions)) > 1
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS
    max_memory_usage = %(max_memory)s,
    max_threads = 2,
    max_block_size = 8192,
    max_bytes_before_external_group_by = %(spill)s
