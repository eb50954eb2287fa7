-- What events say of some orders that were told as several first cycles, and without any: what they are worth, and what
-- changes that. Which conversion an adjustment changes is as of `stage_conversions`. Likewise of what stands in for those of
-- them whose people were erased: what it was worth first, what became of that, and what of changes of the order is in that.
SELECT
    if(e.kind = 'adjustment' AND t.order_of != '', t.order_of, e.named) AS own_id,
    event_id,
    toUnixTimestamp64Micro(event_time),
    xxHash64(event_id),
    e.kind = 'conversion',
    source_rank,
    isNotNull(value_micros),
    ifNull(value_micros, 0),
    currency,
    if(adjustment_reason IN ('REFUND', 'CHARGEBACK', 'REVERSAL', 'RETRACTION'), adjustment_reason, 'RESTATEMENT'),
    if(adjustment_id = '', concat('e:', event_id), concat('a:', adjustment_id)),
    false,
    false
FROM
(
    SELECT
        *,
        if(conversion_id = '', details['target_conversion_id'], conversion_id) AS named
    FROM events FINAL
    PREWHERE kind IN ('conversion', 'adjustment')
        AND (
            conversion_id IN %(conversions)s
            OR (
                kind = 'adjustment'
                AND (
                    details['target_conversion_id'] IN %(conversions)s
                    OR details['target_event_id'] IN
                    (
                        SELECT event_id
                        FROM events
                        PREWHERE conversion_id IN %(conversions)s
                        WHERE workspace = %(workspace)s
                            AND kind = 'conversion'
                    )
                )
            )
        )
    WHERE workspace = %(workspace)s
        AND verdict != 'QUARANTINED'
        AND traffic NOT IN ('INTERNAL', 'TEST')
) AS e
LEFT JOIN
(
    SELECT
        event_id AS target,
        any(conversion_id) AS order_of
    FROM events
    PREWHERE conversion_id IN %(conversions)s
    WHERE workspace = %(workspace)s
        AND kind = 'conversion'
    GROUP BY event_id
) AS t ON t.target = e.details['target_event_id']
WHERE own_id IN %(conversions)s
UNION ALL
SELECT
    conversion_id,
    said.1,
    time,
    xxHash64(said.1),
    said.2,
    source_rank,
    said.3,
    said.4,
    currency,
    said.5,
    concat('e:', said.1),
    false,
    false
FROM
(
    SELECT *
    FROM stand_ins FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND role = 3
        AND revised != ''
    LIMIT 1 BY conversion_id
)
ARRAY JOIN arrayConcat(
    [(conversion_id, true, currency != '', original_micros, '')],
    if(is_retracted, [(concat(conversion_id, '-value'), false, false, 0::Int64, 'RETRACTION')], []),
    if(
        NOT is_retracted AND amount_micros != original_micros,
        [(concat(conversion_id, '-value'), false, true, amount_micros, 'RESTATEMENT')],
        []
    )
) AS said
UNION ALL
SELECT
    conversion_id,
    event_id,
    time,
    hash,
    false,
    0,
    has_amount,
    amount_micros,
    currency,
    kind,
    identity,
    is_share,
    is_named
FROM order_changes FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
