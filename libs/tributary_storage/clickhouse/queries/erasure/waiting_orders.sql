-- The orders of a person until a moment that wait in quarantine for their amount alone, as `pending_values` tells them.
WITH
    waiting AS
    (
        SELECT
            event_id,
            conversion_id
        FROM events FINAL
        WHERE workspace = %(workspace)s
            AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
            AND (event_time, event_id) IN
            (
                /*of_tokens*/
            )
            AND /*home*/
                IN %(tokens)s
            AND kind = 'conversion'
            AND order_id != ''
            AND verdict = 'QUARANTINED'
            AND has(reason_codes, 'AMOUNT_UNEXPECTED')
            AND NOT hasAny(reason_codes, %(other_reasons)s)
            AND admitted != ''
            AND traffic NOT IN ('INTERNAL', 'TEST')
    )
SELECT DISTINCT conversion_id
FROM waiting
WHERE event_id NOT IN
    (
        SELECT event_id
        FROM quarantine_decisions
        WHERE workspace = %(workspace)s
            AND event_id IN (SELECT event_id FROM waiting)
    )
    AND conversion_id NOT IN
    (
        SELECT conversion_id
        FROM events_by_conversion
        WHERE workspace = %(workspace)s
            AND conversion_id IN (SELECT conversion_id FROM waiting)
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
    )
