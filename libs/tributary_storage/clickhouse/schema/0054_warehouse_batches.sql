-- One row per batch of a warehouse destination: which revisions it holds, decided once, before any of its files is written,
-- so that whoever writes it, and however often, writes the same. One row because one row is stored whole or not at all.
-- Kind `withdrawals`: conversions whose rows are to be deleted there, because they are no more here; `revisions` is empty.
-- Order: reads want the batches of one destination. A row with a higher generation replaces the one before: the same batch
-- without what was withdrawn, whose files are written anew. Kept: for ever, it is what was exported.
CREATE TABLE IF NOT EXISTS warehouse_batches /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    destination_id LowCardinality(String),
    batch_id String,
    generation UInt32,
    kind LowCardinality(String) COMMENT 'revisions, withdrawals',
    freeze_time DateTime64(6, 'UTC') COMMENT 'when it was decided; of all generations',
    conversion_ids Array(String) CODEC(ZSTD(1)),
    revisions Array(UInt64) CODEC(ZSTD(1)) COMMENT 'as long as conversion_ids',
    first_record_time DateTime64(6, 'UTC') COMMENT 'of its rows in conversion_revisions',
    last_record_time DateTime64(6, 'UTC'),
    CONSTRAINT kind_is_known CHECK kind IN ('revisions', 'withdrawals'),
    CONSTRAINT keys_are_whole CHECK kind = 'withdrawals' OR length(conversion_ids) = length(revisions)
)
ENGINE = /*Replicated*/ReplacingMergeTree(generation)
ORDER BY (workspace, destination_id, batch_id)
