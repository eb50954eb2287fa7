-- One row per (conversion, role, families): what leads and subscriptions go on knowing of a conversion whose person was
-- erased, so that the others of them stay counted and credited as they were. Names nobody: families by digests of their
-- names, the conversion by its random id ("s1:...", as in `conversions`), times to the minute. Beside these, with their own
-- id, the first conversions of leads that were named by an erased one alone ("c1:...": whoever's it will be).
-- Order: asked for by conversion or by family; few. A row with a higher version replaces the one before. Kept: for ever.
CREATE TABLE IF NOT EXISTS stand_ins /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_id String,
    role UInt8 COMMENT 'what it is in these families: 1 stage, 2 first conversion, 3 cycle that decides, 4 renewal',
    families Array(String) CODEC(ZSTD(1)),
    version UInt64 COMMENT 'when this was written, microseconds',
    name LowCardinality(String),
    store LowCardinality(String),
    currency LowCardinality(String),
    amount_micros Int64 COMMENT 'what it is worth, should it be the one that counts',
    original_micros Int64,
    stage LowCardinality(String),
    kind UInt8 COMMENT 'of a cycle, as on the wire; 0: it is none',
    time Int64 COMMENT 'its place among the others; likewise hash',
    hash UInt64,
    accept_time Int64 COMMENT 'to the minute',
    admitted Array(String) CODEC(ZSTD(3)) COMMENT 'AdmittedEvent: what is said of it from now on; empty: it decides nothing',
    revised String CODEC(ZSTD(3)) COMMENT 'ConversionRevised: as it was published, without what tells of anybody'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, conversion_id, role, families)
