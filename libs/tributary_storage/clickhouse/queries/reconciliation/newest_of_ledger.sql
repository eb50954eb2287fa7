-- The newest revision of each of some conversions, its bytes, and of it all columns that `conversions` has too.
SELECT
    hex(revised),
    /*newest_columns*/
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
ORDER BY
    conversion_id,
    revision DESC
LIMIT 1 BY conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
