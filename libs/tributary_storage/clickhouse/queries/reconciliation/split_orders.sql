-- Orders that are two counted conversions because one observer told the cycle of a subscription and another, who could not
-- know of it, told none: of the run's days, of what came in these, and those that a finding is about which is not resolved.
-- A first cycle and the plain order become one: they are found only before they have. One row per pair that is close enough
-- in time to be one purchase: later cycles may have the number of the first order. In parts, so that the first reads by its
-- days, and the second not at all where it is not wanted.
WITH
    named AS
    (
        SELECT arrayJoin(splitByChar(',', conversion_id)) AS conversion_id
        FROM reconciliation_findings FINAL
        WHERE workspace = %(workspace)s
            AND state != 'RESOLVED'
            AND kind = 'ORDER_SPLIT'
    ),
    targets AS
    (
        SELECT conversion_id
        FROM reconciliation_targets FINAL
        WHERE reconciliation_id = %(run)s
    ),
    orders AS
    (
        SELECT
            conversion_id,
            name,
            store,
            order_id,
            cycle,
            toUnixTimestamp64Micro(conversion_time) AS time,
            currency,
            value_micros
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND counted
            AND order_id != ''
            AND (cycle = '' OR subscription_id != '')
            AND conversion_time >= fromUnixTimestamp64Micro(%(near_begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(near_end)s, 'UTC')
        UNION ALL
        SELECT
            conversion_id,
            name,
            store,
            order_id,
            cycle,
            toUnixTimestamp64Micro(conversion_time) AS time,
            currency,
            value_micros
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND (%(with_changes)s OR (SELECT count() FROM named) > 0)
            AND counted
            AND order_id != ''
            AND (cycle = '' OR subscription_id != '')
            AND (
                conversion_id IN (SELECT conversion_id FROM named)
                OR order_id IN
                (
                    SELECT order_id
                    FROM conversions
                    WHERE workspace = %(workspace)s
                        AND order_id != ''
                        AND conversion_id IN (SELECT conversion_id FROM targets)
                )
            )
    )
SELECT DISTINCT
    told.conversion_id,
    plain.conversion_id,
    told.name,
    told.store,
    told.order_id,
    told.cycle,
    told.value_micros,
    told.currency,
    plain.value_micros,
    plain.currency
FROM orders AS told
INNER JOIN orders AS plain
    ON plain.name = told.name
        AND plain.store = told.store
        AND plain.order_id = told.order_id
WHERE told.cycle != ''
    AND plain.cycle = ''
    AND abs(told.time - plain.time) <= %(near)s
    AND (
        (told.time >= %(begin)s AND told.time < %(end)s)
        OR told.conversion_id IN (SELECT conversion_id FROM named)
        OR told.conversion_id IN (SELECT conversion_id FROM targets)
        OR plain.conversion_id IN (SELECT conversion_id FROM targets)
    )
ORDER BY
    told.conversion_id,
    plain.conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
