-- One row per state of a deal of a CRM. Written by the imports of ingestion; the newest `modify_time` counts, the
-- others stay for "as of". Deals that Tributary itself made are marked by `created_by` and are never evidence.
-- Order: reads want one workspace's deals of one system. A state of a deal never changes: the same one written again
-- replaces itself, and its time chooses the partition. Kept: for ever.
CREATE TABLE IF NOT EXISTS deals /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    system LowCardinality(String),
    deal_id String,
    modify_time DateTime64(6, 'UTC'),
    stage LowCardinality(String),
    status LowCardinality(String) COMMENT 'OPEN, WON, LOST',
    currency LowCardinality(String),
    amount_micros Nullable(Int64),
    order_id String,
    lead_id String,
    contact_id String,
    account_id String,
    contact_token String COMMENT 'identity token of the e-mail address',
    created_by LowCardinality(String),
    close_date Nullable(Date32) COMMENT 'civil day of the CRM',
    conversion_name LowCardinality(String),
    import_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(modify_time)
ORDER BY (workspace, system, deal_id, modify_time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1 -- nothing else remembers an import that was acknowledged
