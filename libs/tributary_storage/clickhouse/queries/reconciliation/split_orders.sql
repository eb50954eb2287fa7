-- Orders that are two counted conversions because one observer told the cycle of a subscription and another, who could not
-- know of it, told none: of the run's days, of what came in these, and those that a finding is about which is not resolved.
-- A first cycle and the plain order become one: they are found only before they have. One row per pair that is close enough
-- in time to be one purchase: later cycles may have the number of the first order. In parts, so that the first reads by its
-- days, and the second not at all where it is not wanted. Orders are told apart by a number first, which takes less memory
-- than they do, and on disk where they are many.
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
            recurrence_kind = 'FIRST' AND order_id != subscription_id AS is_first,
            toUnixTimestamp64Micro(conversion_time) AS time,
            toString(currency) AS currency_code,
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
            recurrence_kind = 'FIRST' AND order_id != subscription_id AS is_first,
            toUnixTimestamp64Micro(conversion_time) AS time,
            toString(currency) AS currency_code,
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
    ),
    told_twice AS
    (
        SELECT
            name,
            store,
            order_id,
            groupUniqArrayIf((conversion_id, cycle, is_first, time, value_micros, currency_code), cycle != '') AS cycles,
            groupUniqArrayIf((conversion_id, time, value_micros, currency_code), cycle = '') AS wholes
        FROM orders
        WHERE cityHash64(name, store, order_id) IN
            (
                SELECT cityHash64(name, store, order_id) AS number
                FROM orders
                GROUP BY number
                HAVING max(cycle = '') AND max(cycle != '')
            )
        GROUP BY
            name,
            store,
            order_id
        HAVING notEmpty(cycles) AND notEmpty(wholes)
    )
SELECT
    told.1 AS told_id,
    plain.1 AS plain_id,
    name,
    store,
    order_id,
    told.2,
    told.3,
    told.5,
    told.6,
    plain.3,
    plain.4
FROM
(
    SELECT
        name,
        store,
        order_id,
        arrayJoin(cycles) AS told,
        arrayJoin(wholes) AS plain
    FROM told_twice
)
WHERE abs(told.4 - plain.2) <= %(near)s
    AND (
        (told.4 >= %(begin)s AND told.4 < %(end)s)
        OR told_id IN (SELECT conversion_id FROM named)
        OR told_id IN (SELECT conversion_id FROM targets)
        OR plain_id IN (SELECT conversion_id FROM targets)
    )
ORDER BY
    told_id,
    plain_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
