-- One row per generation of a batch whose files and manifest are in the bucket: until then it is unfinished, and is written
-- again. Written last of all.
-- Order: reads want the batches of one destination. Written again it replaces itself. Kept: for ever.
CREATE TABLE IF NOT EXISTS warehouse_manifests /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    destination_id LowCardinality(String),
    batch_id String,
    generation UInt32,
    table_rows Map(LowCardinality(String), UInt64),
    bytes UInt64 COMMENT 'of all files',
    manifest String CODEC(ZSTD(3)) COMMENT 'as it is in the bucket',
    write_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, destination_id, batch_id, generation)
