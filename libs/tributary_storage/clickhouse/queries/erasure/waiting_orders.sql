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
FROM
(
    /*undecided*/
)
