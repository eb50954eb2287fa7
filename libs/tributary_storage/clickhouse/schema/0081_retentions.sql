-- One row per workspace of which retention has run: since when it has person-level events, and how the last run went. What
-- happened before is deleted, or is about to be: `retained_since` is stored before anything is. Written by attribution.
-- Order: all are read at once. A row with a higher version replaces the one before; `retained_since` never goes back: read
-- it with max(). Not partitioned: one row per workspace. Kept: for ever.
CREATE TABLE IF NOT EXISTS retentions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    version UInt64 COMMENT 'microseconds since 1970',
    retained_since DateTime64(6, 'UTC') COMMENT '1970: nothing was deleted yet',
    begin_time DateTime64(6, 'UTC') COMMENT 'of the last run',
    finish_time DateTime64(6, 'UTC') COMMENT 'of the last run that came to its end; 1970: none did'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY workspace
