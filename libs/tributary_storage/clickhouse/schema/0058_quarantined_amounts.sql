-- One row per quarantined order whose amount is outside the expected range: where in `events` it is, so that reports can
-- say what waits without reading all of them. Filled by `quarantined_amounts_feed`. What became of it since is told by
-- `events` and `quarantine_decisions`. The digest stands for the event id: an erasure has nothing to take from here.
-- Order: reads want one workspace and a span of time. All of the key is fixed with the event; a row written again
-- replaces itself. Not partitioned: it is little. Kept: for ever.
CREATE TABLE IF NOT EXISTS quarantined_amounts /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    event_time DateTime64(6, 'UTC'),
    event_hash UInt64 COMMENT 'xxHash64 of the event id'
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, event_time, event_hash)
