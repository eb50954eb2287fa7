-- A digest of some revisions, of all columns that `conversions` has too: what is alike there never leaves. By key, the days
-- that they were published on first: all columns are read, and of other months none. Without FINAL, which would take the
-- memory of all columns of all parts at once: a revision comes twice where a version of it was replaced.
SELECT
    conversion_id,
    cityHash64(/*newest_columns*/)
FROM conversion_revisions
PREWHERE revision IN %(revisions)s
    AND (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 8192
