-- end = 0
-- limit = 1000
-- own_names = ('call', 'lead', 'signup')
-- own_names_0 = ('call', 'lead')
-- own_names_1 = ('signup',)
-- start = 0
-- workspace = 'shop'
SELECT
    conversion_name,
    channel,
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
        channel
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
            'last_non_direct' AS model,
            last_non_direct_credit_micros AS model_credit_micros,
            last_non_direct_value_micros AS model_value_micros,
            last_non_direct_unattributed_reason AS model_unattributed_reason
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
            AND name NOT IN %(own_names)s
        UNION ALL
        SELECT
            conversion_id,
            conversion_time,
            sign,
            value_pending,
            name AS conversion_name,
            currency,
            touch_event_ids,
            touch_channels,
            'first_touch' AS model,
            first_touch_credit_micros AS model_credit_micros,
            first_touch_value_micros AS model_value_micros,
            first_touch_unattributed_reason AS model_unattributed_reason
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
            AND name IN %(own_names_0)s
        UNION ALL
        SELECT
            conversion_id,
            conversion_time,
            sign,
            value_pending,
            name AS conversion_name,
            currency,
            touch_event_ids,
            touch_channels,
            'linear' AS model,
            linear_credit_micros AS model_credit_micros,
            linear_value_micros AS model_value_micros,
            linear_unattributed_reason AS model_unattributed_reason
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
            AND name IN %(own_names_1)s
    )
    ARRAY JOIN
        touch_channels AS channel,
        touch_event_ids AS touch_event_id,
        model_credit_micros AS credit_micros,
        model_value_micros AS touch_value_micros
    WHERE
        (credit_micros != 0 OR touch_value_micros != 0)
)
GROUP BY
    conversion_name,
    channel
ORDER BY
    conversion_name,
    channel
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
