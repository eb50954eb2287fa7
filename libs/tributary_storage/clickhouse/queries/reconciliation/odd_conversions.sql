-- Conversions that count about which something is odd: of the run's days, those that what came in these may have changed,
-- and those that a finding is about which is not resolved. One row per what is odd, with some of the conversions; of what
-- a run only counts none is named. What is left of the erased nobody can mend: of that nothing is told.
WITH
    asked AS
    (
        SELECT conversion_id
        FROM reconciliation_targets FINAL
        WHERE reconciliation_id = %(run)s
        UNION DISTINCT
        SELECT conversion_id
        FROM reconciliation_findings FINAL
        WHERE workspace = %(workspace)s
            AND state != 'RESOLVED'
            AND kind IN (
                'OVER_REFUNDED',
                'CURRENCY_MISMATCH',
                'VALUE_CONFLICT',
                'ADJUSTMENT_CONFLICT',
                'ADJUSTED_WITHOUT_VALUE',
                'PARTS_CONTRADICTORY'
            )
    )
SELECT
    toString(what) AS odd,
    count() AS number,
    arraySort(groupArraySortedIf(%(limit)s)((
        conversion_id,
        toString(name),
        toString(store),
        order_id,
        original_value_micros,
        value_micros,
        toString(currency)
    ), what NOT IN ('parts_missing', 'incomplete_journey'))) AS named
FROM conversions FINAL
ARRAY JOIN findings AS what
WHERE workspace = %(workspace)s
    AND counted
    AND NOT retracted
    AND NOT startsWith(conversion_id, 's1:')
    AND (
        (
            conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        OR conversion_id IN (SELECT conversion_id FROM asked)
    )
GROUP BY odd
ORDER BY odd
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
