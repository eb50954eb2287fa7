-- What observed or adjusted conversions and held its order number, first acceptance first. What is quarantined does not
-- hold a number, and internal and test traffic has none.
SELECT
    conversion_id,
    event_id,
    kind,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    source_rank,
    currency,
    value_micros,
    adjustment_reason,
    adjustment_id
FROM events_by_conversion
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversion_ids)s
    AND verdict != 'QUARANTINED'
    AND traffic NOT IN ('INTERNAL', 'TEST')
ORDER BY accept_time
