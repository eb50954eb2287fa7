-- after_0 = 'Email'
-- after_1 = 'linear'
-- end = 0
-- filter_0 = ('linear', 'data_driven')
-- filter_1 = ('Direct',)
-- limit = 1000
-- start = 0
-- workspace = 'shop'
SELECT
    channel,
    model,
    conversions_total,
    value_total,
    currencies,
    names
FROM
(
    SELECT
        channel,
        [
            sum(toInt128(linear_credit) * sign),
            sum(toInt128(data_driven_credit) * sign)
        ] AS conversions_totals,
        [
            sum(toInt128(if(value_pending, 0, linear_value)) * sign),
            sum(toInt128(if(value_pending, 0, data_driven_value)) * sign)
        ] AS value_totals,
        [
            countIf(linear_credit != 0 OR linear_value != 0),
            countIf(data_driven_credit != 0 OR data_driven_value != 0)
        ] AS touches,
        groupUniqArrayIf(256)(currency, currency != '') AS currencies,
        groupUniqArray(1000)(conversion_name) AS names
    FROM
    (
        SELECT
            sign,
            value_pending,
            conversion_name,
            currency,
            channel,
            linear_credit,
            linear_value,
            data_driven_credit,
            data_driven_value
        FROM
        (
            SELECT
                conversion_time,
                sign,
                value_pending,
                name AS conversion_name,
                currency,
                touch_channels,
                arrayResize(linear_credit_micros, length(touch_event_ids)) AS linear_credits,
                arrayResize(linear_value_micros, length(touch_event_ids)) AS linear_values,
                arrayResize(data_driven_credit_micros, length(touch_event_ids)) AS data_driven_credits,
                arrayResize(data_driven_value_micros, length(touch_event_ids)) AS data_driven_values
            FROM
            (
                SELECT
                    * REPLACE
                    (
                        if(lacks_model, arrayPushBack(touch_event_ids, ''), touch_event_ids) AS touch_event_ids,
                        if(lacks_model, arrayPushBack(touch_channels, 'unattributed'), touch_channels) AS touch_channels,
                        if(lacks_model, arrayPushBack(arrayResize(data_driven_credit_micros, touches), 1000000), data_driven_credit_micros) AS data_driven_credit_micros,
                        if(lacks_model, arrayPushBack(arrayResize(data_driven_value_micros, touches), value_micros), data_driven_value_micros) AS data_driven_value_micros,
                        if(lacks_model, 'NO_MODEL', data_driven_unattributed_reason) AS data_driven_unattributed_reason
                    )
                FROM
                (
                    SELECT
                        *,
                        empty(data_driven_credit_micros) AS lacks_model,
                        length(touch_event_ids) AS touches
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
                )
            )
            WHERE
                counted
        )
        ARRAY JOIN
            touch_channels AS channel,
            linear_credits AS linear_credit,
            linear_values AS linear_value,
            data_driven_credits AS data_driven_credit,
            data_driven_values AS data_driven_value
        WHERE
            channel NOT IN %(filter_1)s
    )
    GROUP BY
        channel
)
ARRAY JOIN
    ['linear', 'data_driven'] AS model,
    conversions_totals AS conversions_total,
    value_totals AS value_total,
    touches AS credited_touches
WHERE
    credited_touches > 0
    AND model IN %(filter_0)s
    AND tuple(channel, model) > tuple(%(after_0)s, %(after_1)s)
ORDER BY
    channel,
    model
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
