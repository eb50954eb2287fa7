-- What counted conversions of some days are worth, before any adjustment: what is compared with its like.
SELECT
    name,
    currency,
    conversion_id,
    original_micros
FROM reconciliation_conversions FINAL
WHERE reconciliation_id = %(run)s
    AND time >= %(begin)s
    AND time < %(end)s
    AND counted
    AND original_micros > 0
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
