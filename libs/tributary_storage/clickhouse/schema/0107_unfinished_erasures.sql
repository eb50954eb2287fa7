-- One row per erasure that is not finished: all that is needed to go on with it after a loss of the state store, and so that
-- the ids are made again that the first run made. Sealed under a key of the workspace's own, which is kept nowhere in
-- ClickHouse: whoever reads it could tell whose the severed conversions were. Deleted with its last step.
-- Order: reads want all of it. A row with a higher version replaces the one before. Kept: until the erasure is finished; a
-- month at most after the last run, so that nothing stays of one that an earlier release finished.
CREATE TABLE IF NOT EXISTS unfinished_erasures /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    erasure_id String,
    version UInt64 COMMENT 'when this was written, microseconds',
    sealed String COMMENT 'nonce, then AES-256-GCM'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, erasure_id)
TTL toDateTime(intDiv(version, 1000000), 'UTC') + INTERVAL 31 DAY DELETE
