-- One row per run of reconciliation: which days, how far it is, what it saw. A run that was killed goes on after the
-- slices of people it has finished; `state` becomes COMPLETE last of all.
-- Order: reads want the newest runs of one workspace. A row with a higher version replaces the one before. Kept: for
-- ever, a row per run.
CREATE TABLE IF NOT EXISTS reconciliations /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    reconciliation_id String,
    version UInt64 COMMENT 'when this was written, microseconds',
    begin_time DateTime64(6, 'UTC') COMMENT 'of the conversions; the first moment inside',
    end_time DateTime64(6, 'UTC') COMMENT 'the first moment after them',
    create_time DateTime64(6, 'UTC'),
    state LowCardinality(String) COMMENT 'RUNNING, COMPLETE',
    repairs Bool COMMENT 'whether it repairs what it finds',
    slices UInt16,
    finished_slices Array(UInt16),
    counts Map(LowCardinality(String), Int64) COMMENT 'what it saw, by name: conversions, differences, repaired, ...'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, reconciliation_id)
