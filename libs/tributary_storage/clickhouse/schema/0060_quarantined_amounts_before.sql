-- Fills `quarantined_amounts` with what was recorded before it was there. Rows that its feed wrote meanwhile replace
-- themselves.
INSERT INTO quarantined_amounts
(
    workspace,
    event_time,
    event_hash
)
SELECT
    workspace,
    event_time,
    xxHash64(event_id)
FROM events
WHERE verdict = 'QUARANTINED'
    AND kind = 'conversion'
    AND order_id != ''
    AND has(reason_codes, 'AMOUNT_UNEXPECTED')
