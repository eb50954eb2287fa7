-- One row per line of an imported slice of spend (destination, account, days, level). A line counts where its slice is the
-- newest of its account and day, by `spend_slices`: so a slice replaces others as a whole, whatever their extent, and a
-- campaign that was renamed leaves no ghost. Earlier slices stay, for "as of". Written by the imports of ingestion.
-- Order: reads want one workspace and a span of days. A line's day never changes, and so its partition; the same slice
-- written again replaces itself. Kept: for ever.
CREATE TABLE IF NOT EXISTS spend /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    date Date32 COMMENT 'of the account, in its zone',
    destination LowCardinality(String),
    account_id LowCardinality(String),
    level LowCardinality(String) COMMENT 'ACCOUNT, CAMPAIGN, ADSET, AD',
    slice_start_date Date32,
    slice_end_date Date32 COMMENT 'included',
    slice_version UInt64 COMMENT 'when the destination reported it, microseconds',
    line UInt32 COMMENT 'place in the slice',
    account_time_zone LowCardinality(String),
    currency LowCardinality(String),
    campaign_id String,
    campaign_name LowCardinality(String),
    adset_id String,
    ad_id String,
    kind LowCardinality(String) COMMENT 'MEDIA, FEE, CREDIT, COMMISSION',
    cost_micros Int64,
    impressions Int64,
    clicks Int64,
    reported_names Array(LowCardinality(String)),
    reported_count_micros Array(Int64),
    reported_value_micros Array(Int64),
    reported_bases Array(LowCardinality(String)),
    source LowCardinality(String),
    medium LowCardinality(String),
    import_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    CONSTRAINT day_is_in_slice CHECK date BETWEEN slice_start_date AND slice_end_date
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (workspace, date, destination, account_id, slice_version, line)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1 -- nothing else remembers an import that was acknowledged
