-- One row per stream of the event log: the highest place that was recorded, in `events` or `refusals`. A log that ends
-- before it is an older copy that must not acknowledge. Filled by the two feeds; kept for ever, some rows per stream.
-- Order: read as a whole. Rows of one stream are merged to the highest; read with max().
CREATE TABLE IF NOT EXISTS log_positions /*ON CLUSTER*/
(
    log_shard UInt16,
    log_lane LowCardinality(String),
    log_position SimpleAggregateFunction(max, UInt128) COMMENT 'milliseconds * 2^64 + sequence'
)
ENGINE = /*Replicated*/AggregatingMergeTree
ORDER BY (log_shard, log_lane)
