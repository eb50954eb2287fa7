-- Names adjustments by the conversion that they are of now; a mutation of `events` feeds nothing.
INSERT INTO events_by_conversion
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
WHERE workspace = %(workspace)s
    AND kind = 'adjustment'
    AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
