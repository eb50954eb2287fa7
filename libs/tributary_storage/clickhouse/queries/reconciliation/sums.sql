-- What must be nothing, of some days and of what came in these: events that were recorded twice, orders and conversions
-- that are counted twice, and conversions whose credit or money does not add up, under any model that they are credited
-- under, with what they are worth and what the sums of these models are. Each is named, some at once: what is left of
-- them is found by the next run.
WITH
    targets AS
    (
        SELECT conversion_id
        FROM reconciliation_targets FINAL
        WHERE reconciliation_id = %(run)s
    )
SELECT
    (
        SELECT groupArray((event_id, times))
        FROM
        (
            SELECT
                event_id,
                count() AS times
            FROM events FINAL
            WHERE workspace = %(workspace)s
                AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            GROUP BY event_id
            HAVING times > 1
            ORDER BY event_id
            LIMIT %(limit)s
        )
    ) AS repeated_events,
    (
        SELECT groupArray((ids, times))
        FROM
        (
            SELECT
                arrayStringConcat(arraySlice(arraySort(groupArray(conversion_id)), 1, 8), ',') AS ids,
                count() AS times
            FROM conversions FINAL
            WHERE workspace = %(workspace)s
                AND counted
                AND order_id != ''
                AND (
                    (
                        conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                        AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    )
                    OR (
                        %(with_changes)s
                        AND order_id IN
                        (
                            SELECT order_id
                            FROM conversions
                            WHERE workspace = %(workspace)s
                                AND order_id != ''
                                AND conversion_id IN (SELECT conversion_id FROM targets)
                        )
                    )
                )
            GROUP BY
                name,
                store,
                order_id,
                cycle
            HAVING times > 1
            ORDER BY ids
            LIMIT %(limit)s
        )
    ) AS repeated_orders,
    (
        SELECT groupArray((conversion_id, times))
        FROM
        (
            SELECT
                conversion_id,
                count() AS times
            FROM conversions FINAL
            WHERE workspace = %(workspace)s
                AND counted
                AND (
                    (
                        conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                        AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    )
                    OR (%(with_changes)s AND conversion_id IN (SELECT conversion_id FROM targets))
                )
            GROUP BY conversion_id
            HAVING times > 1
            ORDER BY conversion_id
            LIMIT %(limit)s
        )
    ) AS repeated_conversions,
    (
        SELECT groupArray((conversion_id, value_micros, toString(currency), wrong))
        FROM
        (
            SELECT
                conversion_id,
                value_micros,
                currency,
                arrayFilter(
                    (model, credit, value) -> credit != 1000000 OR value != value_micros,
                    arrayZip(
                        [
                            'first_touch',
                            'last_touch',
                            'last_non_direct',
                            'linear',
                            'position_based',
                            'time_decay',
                            'data_driven'
                        ],
                        [
                            arraySum(first_touch_credit_micros),
                            arraySum(last_touch_credit_micros),
                            arraySum(last_non_direct_credit_micros),
                            arraySum(linear_credit_micros),
                            arraySum(position_based_credit_micros),
                            arraySum(time_decay_credit_micros),
                            if(empty(data_driven_credit_micros), 1000000, arraySum(data_driven_credit_micros))
                        ],
                        [
                            arraySum(first_touch_value_micros),
                            arraySum(last_touch_value_micros),
                            arraySum(last_non_direct_value_micros),
                            arraySum(linear_value_micros),
                            arraySum(position_based_value_micros),
                            arraySum(time_decay_value_micros),
                            if(empty(data_driven_credit_micros), value_micros, arraySum(data_driven_value_micros))
                        ]
                    )
                ) AS wrong
            FROM conversions FINAL
            WHERE workspace = %(workspace)s
                AND (
                    (
                        conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                        AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    )
                    OR (%(with_changes)s AND conversion_id IN (SELECT conversion_id FROM targets))
                )
                AND counted
                AND notEmpty(wrong)
            ORDER BY
                conversion_id,
                conversion_time
            LIMIT 1 BY conversion_id
            LIMIT %(limit)s
        )
    ) AS wrong_sums,
    (
        SELECT count()
        FROM reconciliation_conversions FINAL
        WHERE reconciliation_id = %(run)s
            AND is_compared
    ) AS conversions,
    (
        SELECT count()
        FROM reconciliation_conversions FINAL
        WHERE reconciliation_id = %(run)s
            AND is_compared
            AND NOT (time >= %(begin)s AND time < %(end)s)
    ) AS changed,
    (
        SELECT count()
        FROM reconciliation_conversions FINAL
        WHERE reconciliation_id = %(run)s
            AND time < %(compared_since)s
            AND time >= %(begin)s
            AND time < %(end)s
    ) AS too_old
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
