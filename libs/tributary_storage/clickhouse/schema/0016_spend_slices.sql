-- One row per day of an imported slice of spend, lines or none: an empty slice clears its days. The newest
-- `slice_version` of an account and day is the one whose lines count. Written with the lines, after them.
-- Order: as `spend`, to be joined with it. Kept: for ever.
CREATE TABLE IF NOT EXISTS spend_slices /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    date Date32 COMMENT 'of the account, in its zone',
    destination LowCardinality(String),
    account_id LowCardinality(String),
    slice_version UInt64 COMMENT 'when the destination reported it, microseconds',
    level LowCardinality(String) COMMENT 'ACCOUNT, CAMPAIGN, ADSET, AD',
    slice_start_date Date32,
    slice_end_date Date32 COMMENT 'included',
    lines UInt32 COMMENT 'of this day',
    content_digest String COMMENT 'of the whole slice, 16 bytes: tells a repetition from a contradiction',
    import_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    CONSTRAINT day_is_in_slice CHECK date BETWEEN slice_start_date AND slice_end_date
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (workspace, date, destination, account_id, slice_version)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1 -- nothing else remembers an import that was acknowledged
