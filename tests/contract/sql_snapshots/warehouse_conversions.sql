SELECT
    workspace,
    conversion_id,
    toInt64(revision) AS revision,
    toInt64(previous_revision) AS previous_revision,
    conversion_time,
    name,
    role,
    is_primary,
    traffic,
    store,
    order_id,
    cycle,
    person_id,
    origin,
    customer_type,
    subscription_id,
    recurrence_kind,
    lead_stage,
    arrayStringConcat(coupon_codes, ',') AS coupon_codes,
    experiment_id,
    experiment_arm,
    first_accept_time,
    currency,
    toInt64(value_micros) AS value_micros,
    toInt64(original_value_micros) AS original_value_micros,
    value_source,
    value_basis,
    reporting_currency,
    toInt64(reporting_value_micros) AS reporting_value_micros,
    counted,
    not_counted_reason,
    retracted,
    value_pending,
    arrayStringConcat(causes, ',') AS causes,
    settings_version,
    publish_time,
    posting_date,
    %(batch_id)s AS batch_id
FROM
(
    SELECT
        *,
        revision AS posted_revision,
        1 AS sign
    FROM conversion_revisions FINAL
    WHERE workspace = %(workspace)s
        AND (conversion_id, revision) GLOBAL IN
        (
            SELECT
                key.1,
                key.2
            FROM
            (
                SELECT arrayJoin(arrayZip(conversion_ids, revisions)) AS key
                FROM warehouse_batches FINAL
                WHERE workspace = %(workspace)s
                    AND destination_id = %(destination_id)s
                    AND batch_id = %(batch_id)s
            )
        )
)
ORDER BY
    conversion_id,
    revision DESC
LIMIT 1 BY conversion_id
