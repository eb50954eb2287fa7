-- One row per finding of reconciliation. The id is made of what it is about, so that a later run finds the same finding
-- again: one that was acknowledged stays so, one that was resolved is open again.
-- Order: reads want the findings of one workspace. A row with a higher version replaces the one before. Kept: for ever.
CREATE TABLE IF NOT EXISTS reconciliation_findings /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    finding_id String,
    version UInt64 COMMENT 'when this was written, microseconds',
    reconciliation_id String COMMENT 'the run that found it last',
    kind LowCardinality(String) COMMENT 'FindingKind',
    cause LowCardinality(String) COMMENT 'FindingCause',
    severity LowCardinality(String) COMMENT 'ERROR, WARNING, INFO',
    state LowCardinality(String) COMMENT 'OPEN, ACKNOWLEDGED, RESOLVED',
    conversion_id String,
    event_id String,
    deal_id String,
    match_step LowCardinality(String),
    message String,
    expected String CODEC(ZSTD(1)),
    actual String CODEC(ZSTD(1)),
    repair_revision UInt64 COMMENT 'the revision that repaired it; 0: none did',
    find_time DateTime64(6, 'UTC'),
    CONSTRAINT state_is_known CHECK state IN ('OPEN', 'ACKNOWLEDGED', 'RESOLVED')
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, finding_id)
