-- Conversions that are several stages of a lead because these were told with one order number: of the run's days, of what
-- came in these, and those that a finding is about which is not resolved. Stages come days apart, so all observations of these are read, each by
-- the key that finds it.
WITH
    asked AS
    (
        SELECT conversion_id
        FROM events
        WHERE workspace = %(workspace)s
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
            AND order_id != ''
            AND details['stage'] != ''
            AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        UNION DISTINCT
        SELECT conversion_id
        FROM reconciliation_targets FINAL
        WHERE reconciliation_id = %(run)s
        UNION DISTINCT
        SELECT conversion_id
        FROM reconciliation_findings FINAL
        WHERE workspace = %(workspace)s
            AND state != 'RESOLVED'
            AND kind = 'STAGES_MERGED'
    ),
    observations AS
    (
        SELECT event_id
        FROM events_by_conversion
        WHERE workspace = %(workspace)s
            AND conversion_id IN (SELECT conversion_id FROM asked)
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
    )
SELECT
    conversion_id,
    any(conversion_name) AS name,
    any(store),
    any(order_id),
    arraySort(groupUniqArray(toString(details['stage']))) AS stages
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND traffic NOT IN ('INTERNAL', 'TEST')
    AND details['stage'] != ''
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events_by_id
        WHERE workspace = %(workspace)s
            AND event_hash IN (SELECT xxHash64(event_id) FROM observations)
            AND event_id IN (SELECT event_id FROM observations)
    )
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND NOT retracted
            AND conversion_id IN (SELECT conversion_id FROM asked)
    )
GROUP BY conversion_id
HAVING length(stages) > 1
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
