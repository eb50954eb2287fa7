-- Fills `events_by_id` with what was recorded before it was there. Rows that its feed wrote meanwhile replace themselves.
INSERT INTO events_by_id
(
    workspace,
    event_hash,
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
)
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
