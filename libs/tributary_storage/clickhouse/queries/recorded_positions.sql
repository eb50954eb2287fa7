-- One row per stream of the event log: the highest place recorded of it. Exact: max() over rows not merged yet.
SELECT
    log_shard,
    log_lane,
    max(log_position) AS position
FROM log_positions
GROUP BY
    log_shard,
    log_lane
