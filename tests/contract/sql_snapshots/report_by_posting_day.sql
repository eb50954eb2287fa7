-- end_date = '2026-12-01'
-- limit = 1000
-- start_date = '2026-11-01'
-- workspace = 'shop'
SELECT
    day,
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
        channel,
        toString(posting_date) AS day
    FROM
    (
        SELECT
            conversion_id,
            conversion_time,
            sign,
            posting_date,
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
                conversion_id,
                conversion_time,
                posting_date,
                sign,
                counted,
                value_pending,
                name,
                currency,
                touch_event_ids,
                touch_channels,
                linear_credit_micros,
                linear_value_micros,
                linear_unattributed_reason
            FROM
            (
                SELECT
                    *,
                    1 AS sign
                FROM conversion_revisions FINAL
                WHERE
                    workspace = %(workspace)s
                    AND posting_date >= %(start_date)s
                    AND posting_date < %(end_date)s
            )
            UNION ALL
            SELECT
                conversion_id,
                conversion_time,
                posting_date,
                sign,
                counted,
                value_pending,
                name,
                currency,
                touch_event_ids,
                touch_channels,
                linear_credit_micros,
                linear_value_micros,
                linear_unattributed_reason
            FROM
            (
                SELECT
                    replaced.* EXCEPT (posting_date),
                    successor.posting_date AS posting_date,
                    -1 AS sign
                FROM conversion_revisions AS replaced FINAL
                INNER JOIN
                (
                    SELECT
                        conversion_id,
                        replaced_revision AS revision,
                        posting_date
                    FROM
                    (
                        SELECT
                            conversion_id,
                            posting_date,
                            lagInFrame(revision) OVER
                            (
                                PARTITION BY conversion_id
                                ORDER BY revision
                                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                            ) AS replaced_revision
                        FROM conversion_revisions FINAL
                        WHERE
                            workspace = %(workspace)s
                            AND conversion_id IN
                                (
                                    SELECT conversion_id
                                    FROM conversion_revisions
                                    WHERE
                                        workspace = %(workspace)s
                                        AND posting_date >= %(start_date)s
                                        AND posting_date < %(end_date)s
                                        AND previous_revision > 0
                                )
                    )
                    WHERE
                        posting_date >= %(start_date)s
                        AND posting_date < %(end_date)s
                        AND replaced_revision > 0
                ) AS successor ON replaced.conversion_id = successor.conversion_id AND replaced.revision = successor.revision
                WHERE
                    replaced.workspace = %(workspace)s
                    AND replaced.conversion_id IN
                        (
                            SELECT conversion_id
                            FROM conversion_revisions
                            WHERE
                                workspace = %(workspace)s
                                AND posting_date >= %(start_date)s
                                AND posting_date < %(end_date)s
                                AND previous_revision > 0
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
    day,
    channel
ORDER BY
    day,
    channel
LIMIT %(limit)s
SETTINGS do_not_merge_across_partitions_select_final = 1
