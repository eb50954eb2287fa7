-- One row per (workspace, conversion) of which the days of a complete run do not tell whether it was compared: it is of other
-- days and was, for what came in the run's days may have changed it; or it is of these days and was left to the next run.
-- Order: asked for by conversion; few. The newest run's row replaces the one before. Kept: 400 days; by then runs over the
-- past have come to its days again.
CREATE TABLE IF NOT EXISTS reconciled_conversions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_id String,
    conversion_time DateTime64(6, 'UTC'),
    run_time DateTime64(6, 'UTC') COMMENT 'when the run was asked for',
    is_compared Bool COMMENT 'false: it was left to the next run'
)
ENGINE = /*Replicated*/ReplacingMergeTree(run_time)
ORDER BY (workspace, conversion_id)
TTL toDateTime(run_time) + INTERVAL 400 DAY
