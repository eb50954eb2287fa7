-- Keeps `log_positions` at the highest place seen in `events`.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_positions_of_events /*ON CLUSTER*/ TO log_positions AS
SELECT
    log_shard,
    log_lane,
    max(bitOr(bitShiftLeft(toUInt128(log_milliseconds), 64), toUInt128(log_sequence))) AS log_position
FROM events
GROUP BY
    log_shard,
    log_lane
