-- One row per event id: when and as what it was accepted first, for looking up ids and for restoring their claims before
-- a backfill. Filled by `events_by_id_feed`; the event itself is read from `events` by its key.
-- Order: reads want a thousand ids of one workspace, whatever their time, so they are found by a hash of the id. Small
-- granules, because each id is in another. All of the key is fixed with the event; a row written again replaces itself.
-- Not partitioned: an id is asked for without its time. Kept: as long as `events`.
CREATE TABLE IF NOT EXISTS events_by_id /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    event_hash UInt64 COMMENT 'xxHash64 of the event id',
    event_id String CODEC(ZSTD(1)),
    event_time DateTime64(6, 'UTC'),
    accept_time DateTime64(6, 'UTC'),
    kind LowCardinality(String),
    verdict LowCardinality(String),
    reason_codes Array(LowCardinality(String)),
    conversion_id String CODEC(ZSTD(1)),
    traffic LowCardinality(String),
    adjustment_reason LowCardinality(String),
    adjustment_id String,
    payload_digest String COMMENT 'one byte version, eight bytes digest'
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, event_hash, event_id)
SETTINGS index_granularity = 1024
