-- after_0 = '2026-11-20'
-- after_1 = 1763600000
-- after_2 = 'EUR'
-- end = 0
-- filter_0 = ('Email', 'Direct')
-- filter_1 = ('lead',)
-- limit = 101
-- not_primary_names = ('newsletter',)
-- start = 0
-- time_zone = 'Europe/Berlin'
-- workspace = 'shop'
SELECT
    day,
    hour,
    currency,
    sum(toInt128(credit_micros) * sign) AS conversions_total,
    sum(toInt128(if(value_pending, 0, touch_value_micros)) * sign) AS value_total,
    groupUniqArrayIf(256)(currency, currency != '') AS currencies,
    groupUniqArray(1000)(conversion_name) AS names
FROM
(
    SELECT
        conversion_id,
        sign,
        value_pending,
        conversion_name,
        currency,
        touch_event_id,
        credit_micros,
        touch_value_micros,
        channel,
        toString(toDate(conversion_time, %(time_zone)s)) AS day,
        toUnixTimestamp(toStartOfHour(toTimeZone(conversion_time, %(time_zone)s))) AS hour
    FROM
    (
        SELECT
            conversion_id,
            conversion_time,
            sign,
            value_pending,
            name AS conversion_name,
            currency,
            touch_event_ids,
            touch_channels,
            'time_decay' AS model,
            time_decay_credit_micros AS model_credit_micros,
            time_decay_value_micros AS model_value_micros,
            time_decay_unattributed_reason AS model_unattributed_reason
        FROM
        (
            SELECT
                *,
                1 AS sign
            FROM conversions FINAL
            WHERE
                workspace = %(workspace)s
                AND conversion_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
                AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        WHERE
            counted
            AND notEmpty(model_credit_micros)
            AND name NOT IN %(not_primary_names)s
    )
    ARRAY JOIN
        touch_channels AS channel,
        touch_event_ids AS touch_event_id,
        model_credit_micros AS credit_micros,
        model_value_micros AS touch_value_micros
    WHERE
        (credit_micros != 0 OR touch_value_micros != 0)
        AND channel IN %(filter_0)s
        AND conversion_name NOT IN %(filter_1)s
)
GROUP BY
    day,
    hour,
    currency
HAVING
    tuple(day, hour, currency) > tuple(%(after_0)s, %(after_1)s, %(after_2)s)
ORDER BY
    day,
    hour,
    currency
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
