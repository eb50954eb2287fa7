-- One row per statement of a rate of a civil day. The newest `publish_time` counts; the others stay, because
-- conversions were pinned to them. Written by the imports of ingestion.
-- Order: reads want the rates of one workspace and day. A statement never changes: the same one written again replaces
-- itself, and the day chooses the partition. Kept: for ever.
CREATE TABLE IF NOT EXISTS exchange_rates /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    date Date32 COMMENT 'in the zone of the books',
    base_currency LowCardinality(String),
    quote_currency LowCardinality(String),
    publish_time DateTime64(6, 'UTC'),
    rate_picos Int64 COMMENT 'units of quote per unit of base, times 10^12',
    source LowCardinality(String),
    import_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    CONSTRAINT rate_is_positive CHECK rate_picos > 0
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (workspace, date, base_currency, quote_currency, publish_time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1 -- nothing else remembers an import that was acknowledged
