-- end = 0
-- limit = 1000
-- start = 0
-- time_zone = 'UTC'
-- workspace = 'shop'
SELECT
    day,
    source,
    medium,
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
        source,
        medium,
        toString(toDate(touch_time, %(time_zone)s)) AS day
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
            touch_times,
            touch_sources,
            touch_mediums,
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
                AND conversion_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC') - INTERVAL 60 SECOND
        )
        WHERE
            counted
            AND notEmpty(model_credit_micros)
    )
    ARRAY JOIN
        touch_sources AS source,
        touch_mediums AS medium,
        touch_event_ids AS touch_event_id,
        touch_times AS touch_time,
        model_credit_micros AS credit_micros,
        model_value_micros AS touch_value_micros
    WHERE
        (credit_micros != 0 OR touch_value_micros != 0)
        AND touch_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
        AND touch_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
)
GROUP BY
    day,
    source,
    medium
ORDER BY
    day,
    source,
    medium
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
