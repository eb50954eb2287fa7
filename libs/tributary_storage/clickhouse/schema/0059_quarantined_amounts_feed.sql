-- Fills `quarantined_amounts` with every insert into `events`.
CREATE MATERIALIZED VIEW IF NOT EXISTS quarantined_amounts_feed /*ON CLUSTER*/ TO quarantined_amounts AS
SELECT
    workspace,
    event_time,
    xxHash64(event_id) AS event_hash
FROM events
WHERE verdict = 'QUARANTINED'
    AND kind = 'conversion'
    AND order_id != ''
    AND has(reason_codes, 'AMOUNT_UNEXPECTED')
