-- One row per merge, split or undoing of people: who was one person before and who is after, and the event that showed it.
-- What an operator reads before undoing one. Written by attribution.
-- Order: reads want one workspace and a span of time. A change's time and id never change, and so its partition; written
-- again it replaces itself. Kept: for ever.
CREATE TABLE IF NOT EXISTS identity_changes /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    change_time DateTime64(6, 'UTC') COMMENT 'event time of the edge that showed it',
    change_id String COMMENT 'digest of the edge',
    kind LowCardinality(String) COMMENT 'MERGE, SPLIT, UNDO',
    person_ids_before Array(String) CODEC(ZSTD(1)),
    person_ids_after Array(String) CODEC(ZSTD(1)),
    identity_tokens Array(String) CODEC(ZSTD(1)) COMMENT 'the two ends of the edge',
    causing_event_id String CODEC(ZSTD(1)),
    undone_change_id String,
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    CONSTRAINT kind_is_known CHECK kind IN ('MERGE', 'SPLIT', 'UNDO')
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(change_time)
ORDER BY (workspace, change_time, change_id)
