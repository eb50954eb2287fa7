-- What events say of some orders that were told as several first cycles, and without any: what they are worth, and what
-- changes that. Which conversion an adjustment changes is as of `stage_conversions`.
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
    if(adjustment_id = '', concat('e:', event_id), concat('a:', adjustment_id))
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
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
