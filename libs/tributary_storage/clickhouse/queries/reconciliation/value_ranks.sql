-- What rank the sources have whose word is what some conversions are worth: the highest of those that stated a value.
SELECT
    conversion_id,
    max(source_rank)
FROM events_by_conversion
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND traffic NOT IN ('INTERNAL', 'TEST')
    AND isNotNull(value_micros)
GROUP BY conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
