-- Fills `events_by_conversion` with what was recorded before it was there. Rows that its feed wrote meanwhile replace
-- themselves.
INSERT INTO events_by_conversion
(
    workspace,
    conversion_id,
    event_id,
    accept_time,
    kind,
    verdict,
    traffic,
    source_rank,
    currency,
    value_micros,
    adjustment_reason,
    adjustment_id
)
SELECT
    workspace,
    conversion_id,
    event_id,
    accept_time,
    kind,
    verdict,
    traffic,
    source_rank,
    currency,
    value_micros,
    adjustment_reason,
    adjustment_id
FROM events
WHERE conversion_id != ''
