-- as_of = 1
-- end = 0
-- limit = 1000
-- severed = 's1:'
-- start = 0
-- workspace = 'shop'
SELECT
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
            'linear' AS model,
            linear_credit_micros AS model_credit_micros,
            linear_value_micros AS model_value_micros,
            linear_unattributed_reason AS model_unattributed_reason
        FROM
        (
            SELECT
                *,
                1 AS sign
            FROM conversion_revisions FINAL
            WHERE
                workspace = %(workspace)s
                AND conversion_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
                AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                AND (conversion_id, revision) IN
                    (
                        SELECT
                            conversion_id,
                            max(revision)
                        FROM conversion_revisions
                        WHERE workspace = %(workspace)s AND publish_time <= fromUnixTimestamp64Micro(%(as_of)s, 'UTC')
                        GROUP BY conversion_id
                    )
                AND conversion_id NOT IN
                    (
                        SELECT conversion_id
                        FROM conversion_revisions
                        WHERE workspace = %(workspace)s AND startsWith(conversion_id, %(severed)s)
                            AND not_counted_reason = 'ERASED'
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
    channel
ORDER BY
    channel
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
