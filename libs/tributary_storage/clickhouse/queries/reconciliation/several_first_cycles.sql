-- Orders that are several counted first cycles where something may be odd about that: of one subscription more than one, or
-- together they are worth something else than the order was told to be without a cycle, which says something only where the
-- same part of a value is credited of all, where all were told by sources of one rank (`value_ranks`), and where nobody has
-- restated one since. Of the run's days, of what came in these, and those that a finding is about which is not resolved; some
-- at once, those after `after`.
-- Of all first cycles that there ever were only those of these orders are grouped; orders are told apart by a number first,
-- which takes less memory than they do.
WITH
    asked AS
    (
        SELECT cityHash64(name, store, order_id) AS number
        FROM conversions
        WHERE workspace = %(workspace)s
            AND order_id NOT IN ('', subscription_id)
            AND (cycle = '' OR recurrence_kind = 'FIRST')
            AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        UNION ALL
        SELECT cityHash64(name, store, order_id) AS number
        FROM conversions
        WHERE workspace = %(workspace)s
            AND order_id != ''
            AND conversion_id IN
            (
                SELECT conversion_id
                FROM reconciliation_targets
                WHERE reconciliation_id = %(run)s
                UNION ALL
                SELECT arrayJoin(splitByChar(',', conversion_id)) AS conversion_id
                FROM reconciliation_findings FINAL
                WHERE workspace = %(workspace)s
                    AND state != 'RESOLVED'
                    AND kind = 'ORDER_SPLIT'
            )
    ),
    firsts AS
    (
        SELECT
            name,
            store,
            order_id
        FROM conversions
        WHERE workspace = %(workspace)s
            AND cycle != ''
            AND recurrence_kind = 'FIRST'
            AND order_id NOT IN ('', subscription_id)
            AND cityHash64(name, store, order_id) IN (SELECT number FROM asked)
        GROUP BY
            name,
            store,
            order_id
        HAVING min(conversion_id) != max(conversion_id)
    )
SELECT
    name,
    store,
    order_id,
    arraySort(groupArrayIf(
        (
            toUnixTimestamp64Micro(conversion_time),
            conversion_id,
            toString(cycle),
            toString(subscription_id),
            original_value_micros,
            toString(currency),
            toString(value_basis)
        ),
        cycle != '' AND counted
    )) AS told,
    anyIf((conversion_id, original_value_micros, toString(currency), toString(value_basis)), cycle = '') AS whole,
    whole.2 != 0
        AND countIf(cycle != '' AND counted AND value_source = 'RESTATED') = 0
        AND NOT arrayExists(one -> one.7 != whole.4, told)
        AND (
            arraySum(arrayMap(one -> one.5, told)) != whole.2
            OR arrayExists(one -> one.6 != whole.3, told)
        ) AS differs
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND (SELECT count() FROM firsts) > 0
    AND (name, store, order_id) IN (SELECT name, store, order_id FROM firsts)
    AND (name, store, order_id) > %(after)s
    AND (cycle = '' OR (recurrence_kind = 'FIRST' AND order_id != subscription_id))
    AND NOT retracted
    AND (counted OR not_counted_reason = 'MERGED_ORDER')
GROUP BY
    name,
    store,
    order_id
HAVING length(told) > 1
    AND (
        differs
        OR arrayUniq(arrayMap(one -> one.4, told)) < length(told)
    )
ORDER BY
    name,
    store,
    order_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
