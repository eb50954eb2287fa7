-- Fills `events_by_conversion` with every insert into `events`.
CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_conversion_feed /*ON CLUSTER*/ TO events_by_conversion AS
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
