-- One row per erasure of a person: that it was asked for, what it destroyed, what was found after it. Written before it has
-- any effect, so that nothing brings back who was erased: whoever restores the state store reads the tombstones here. Names
-- nobody: an identifier by its person key, which cannot be turned back into the identifier.
-- Order: reads want all of it, or one. A row with a higher version replaces the one before. Kept: for ever.
CREATE TABLE IF NOT EXISTS erasures /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    erasure_id String,
    version UInt64 COMMENT 'when this was written, microseconds',
    request_time DateTime64(6, 'UTC'),
    until_time DateTime64(6, 'UTC') COMMENT 'what happened until then is gone',
    mode LowCardinality(String) COMMENT 'sever, remove',
    state LowCardinality(String) COMMENT 'requested, destroyed, finished',
    person_keys Array(String) CODEC(ZSTD(1)) COMMENT 'person ids of the identity tokens',
    destroyed Map(LowCardinality(String), UInt64) COMMENT 'store -> how much of the person was destroyed there',
    remaining Map(LowCardinality(String), UInt64) COMMENT 'store -> how much was found there after it',
    requested_by String COMMENT 'id of the API key',
    reason String,
    CONSTRAINT mode_is_known CHECK mode IN ('sever', 'remove'),
    CONSTRAINT state_is_known CHECK state IN ('requested', 'destroyed', 'finished')
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, erasure_id)
