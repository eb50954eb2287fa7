-- end = 0
-- limit = 1000
-- start = 0
-- workspace = 'shop'
SELECT
    model,
    channel,
    unattributed_reason,
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
        model,
        if(touch_event_id = '', model_unattributed_reason, '') AS unattributed_reason
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
            'last_touch' AS model,
            last_touch_credit_micros AS model_credit_micros,
            last_touch_value_micros AS model_value_micros,
            last_touch_unattributed_reason AS model_unattributed_reason
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
            'position_based' AS model,
            position_based_credit_micros AS model_credit_micros,
            position_based_value_micros AS model_value_micros,
            position_based_unattributed_reason AS model_unattributed_reason
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
            'data_driven' AS model,
            data_driven_credit_micros AS model_credit_micros,
            data_driven_value_micros AS model_value_micros,
            data_driven_unattributed_reason AS model_unattributed_reason
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
            AND notEmpty(model_credit_micros)
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
    model,
    channel,
    unattributed_reason
ORDER BY
    model,
    channel,
    unattributed_reason
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
