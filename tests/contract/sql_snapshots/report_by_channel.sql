-- end = 0
-- limit = 1000
-- reporting_currency = ''
-- start = 0
-- workspace = 'shop'
SELECT
    channel,
    sum(toInt128(credit_micros) * sign) AS conversions_total,
    sum(toInt128(if(value_pending, 0, touch_value_micros)) * sign) AS value_total,
    toInt128(uniqExact(conversion_id)) AS conversions_assisted_total,
    toInt128(uniqExactIf(touch_event_id, touch_event_id != '')) AS touchpoints_total,
    sum(toInt128(if(value_pending, 0, touch_reporting_micros)) * sign) AS reporting_value_total,
    groupUniqArrayIf(256)(currency, currency != '') AS currencies,
    groupUniqArray(1000)(conversion_name) AS names,
    sumMapIf(map(currency, toInt128(if(value_pending, 0, touch_value_micros)) * sign), is_unconverted) AS unconverted
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
        touch_reporting_micros,
        is_unconverted,
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
            last_non_direct_unattributed_reason AS model_unattributed_reason,
            currency NOT IN ('', %(reporting_currency)s) AND reporting_currency != %(reporting_currency)s AS is_unconverted,
            multiIf(currency = %(reporting_currency)s, last_non_direct_value_micros, is_unconverted, arrayResize([]::Array(Int64), length(last_non_direct_value_micros)), arrayResize(reporting_credit_micros['last_non_direct'], length(last_non_direct_value_micros))) AS model_reporting_micros
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
    )
    ARRAY JOIN
        touch_channels AS channel,
        touch_event_ids AS touch_event_id,
        model_credit_micros AS credit_micros,
        model_value_micros AS touch_value_micros,
        model_reporting_micros AS touch_reporting_micros
    WHERE
        (credit_micros != 0 OR touch_value_micros != 0)
)
GROUP BY
    channel
ORDER BY
    channel
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
