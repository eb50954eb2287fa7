-- Some revisions: their bytes, and of them all columns that `conversions` has too.
SELECT
    hex(revised),
    /*newest_columns*/
FROM conversion_revisions FINAL
PREWHERE revision IN %(revisions)s
    AND (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
