-- One row per event that observes or adjusts a conversion: what is known of an order whose claim is past its life, for
-- restoring that claim before a backfill. Filled by `events_by_conversion_feed`.
-- Order: reads want a thousand conversions of one workspace, whatever their time. All of the key is fixed with the
-- event; a row written again replaces itself. Not partitioned: a conversion is asked for without its time. Kept: as
-- long as `events`.
CREATE TABLE IF NOT EXISTS events_by_conversion /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_id String CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    accept_time DateTime64(6, 'UTC'),
    kind LowCardinality(String),
    verdict LowCardinality(String),
    traffic LowCardinality(String),
    source_rank UInt8,
    currency LowCardinality(String),
    value_micros Nullable(Int64),
    adjustment_reason LowCardinality(String),
    adjustment_id String
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, conversion_id, event_id)
SETTINGS index_granularity = 1024
