-- Fills `events_by_id` with every insert into `events`.
CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_id_feed /*ON CLUSTER*/ TO events_by_id AS
SELECT
    workspace,
    xxHash64(event_id) AS event_hash,
    event_id,
    event_time,
    accept_time,
    kind,
    verdict,
    reason_codes,
    conversion_id,
    traffic,
    adjustment_reason,
    adjustment_id,
    payload_digest
FROM events
