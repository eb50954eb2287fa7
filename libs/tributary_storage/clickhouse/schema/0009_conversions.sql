-- One row per (workspace, conversion): its newest revision, touches and credits in arrays, so that a touch that drops
-- out leaves no orphan. Filled by `conversions_feed`. Replaced by the higher `revision`; all revisions stay in
-- `conversion_revisions`, where the arrays are explained. Read with FINAL. Kept: for ever.
-- Order: reports read one workspace and a span of time. Should a conversion's own time be corrected, its old row gets a
-- tombstone (`is_deleted`), because a row of another key or partition would stay beside the new one for ever.
CREATE TABLE IF NOT EXISTS conversions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_time DateTime64(6, 'UTC'),
    conversion_id String,
    revision UInt64,
    is_deleted UInt8,
    name LowCardinality(String),
    store LowCardinality(String),
    order_id String CODEC(ZSTD(1)),
    cycle LowCardinality(String),
    person_id String CODEC(ZSTD(1)),
    first_accept_time DateTime64(6, 'UTC'),
    currency LowCardinality(String) COMMENT 'empty where no value was stated',
    value_micros Int64 COMMENT 'credited now, after adjustments',
    original_value_micros Int64 COMMENT 'stated first, before any adjustment',
    value_source LowCardinality(String),
    reporting_currency LowCardinality(String),
    reporting_value_micros Int64 COMMENT 'at the rate pinned at the civil day',
    counted Bool COMMENT 'whether totals contain it',
    not_counted_reason LowCardinality(String),
    retracted Bool,
    value_pending Bool COMMENT 'whether its value is held back from totals',
    observation_event_ids Array(String) CODEC(ZSTD(1)),
    origin LowCardinality(String),
    customer_type LowCardinality(String),
    subscription_id String,
    recurrence_kind LowCardinality(String),
    lead_id String,
    lead_stage LowCardinality(String),
    coupon_codes Array(LowCardinality(String)),
    experiment_id LowCardinality(String),
    experiment_arm LowCardinality(String),
    findings Array(LowCardinality(String)),
    settings_version LowCardinality(String),
    causes Array(LowCardinality(String)) COMMENT 'why this revision',
    publish_time DateTime64(6, 'UTC'),
    posting_date Date32 COMMENT 'in the zone of the books',
    touch_event_ids Array(String) CODEC(ZSTD(1)),
    touch_times Array(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    touch_kinds Array(LowCardinality(String)),
    touch_channels Array(LowCardinality(String)),
    touch_sub_channels Array(LowCardinality(String)),
    touch_sources Array(LowCardinality(String)),
    touch_mediums Array(LowCardinality(String)),
    touch_campaigns Array(LowCardinality(String)),
    touch_campaign_ids Array(LowCardinality(String)),
    touch_ad_destinations Array(LowCardinality(String)),
    touch_ad_account_ids Array(LowCardinality(String)),
    touch_ad_campaign_ids Array(LowCardinality(String)),
    first_touch_credit_micros Array(Int32) CODEC(ZSTD(1)),
    first_touch_value_micros Array(Int64) CODEC(ZSTD(1)),
    first_touch_unattributed_reason LowCardinality(String),
    last_touch_credit_micros Array(Int32) CODEC(ZSTD(1)),
    last_touch_value_micros Array(Int64) CODEC(ZSTD(1)),
    last_touch_unattributed_reason LowCardinality(String),
    last_non_direct_credit_micros Array(Int32) CODEC(ZSTD(1)),
    last_non_direct_value_micros Array(Int64) CODEC(ZSTD(1)),
    last_non_direct_unattributed_reason LowCardinality(String),
    linear_credit_micros Array(Int32) CODEC(ZSTD(1)),
    linear_value_micros Array(Int64) CODEC(ZSTD(1)),
    linear_unattributed_reason LowCardinality(String),
    position_based_credit_micros Array(Int32) CODEC(ZSTD(1)),
    position_based_value_micros Array(Int64) CODEC(ZSTD(1)),
    position_based_unattributed_reason LowCardinality(String),
    time_decay_credit_micros Array(Int32) CODEC(ZSTD(1)),
    time_decay_value_micros Array(Int64) CODEC(ZSTD(1)),
    time_decay_unattributed_reason LowCardinality(String),
    data_driven_credit_micros Array(Int32) CODEC(ZSTD(1)),
    data_driven_value_micros Array(Int64) CODEC(ZSTD(1)),
    data_driven_unattributed_reason LowCardinality(String),
    data_driven_model_version LowCardinality(String),
    INDEX by_conversion_id conversion_id TYPE bloom_filter(0.01) GRANULARITY 1,
    CONSTRAINT first_touch_adds_up CHECK NOT counted
        OR (arraySum(first_touch_credit_micros) = 1000000
            AND arraySum(first_touch_value_micros) = value_micros),
    CONSTRAINT last_touch_adds_up CHECK NOT counted
        OR (arraySum(last_touch_credit_micros) = 1000000
            AND arraySum(last_touch_value_micros) = value_micros),
    CONSTRAINT last_non_direct_adds_up CHECK NOT counted
        OR (arraySum(last_non_direct_credit_micros) = 1000000
            AND arraySum(last_non_direct_value_micros) = value_micros),
    CONSTRAINT linear_adds_up CHECK NOT counted
        OR (arraySum(linear_credit_micros) = 1000000
            AND arraySum(linear_value_micros) = value_micros),
    CONSTRAINT position_based_adds_up CHECK NOT counted
        OR (arraySum(position_based_credit_micros) = 1000000
            AND arraySum(position_based_value_micros) = value_micros),
    CONSTRAINT time_decay_adds_up CHECK NOT counted
        OR (arraySum(time_decay_credit_micros) = 1000000
            AND arraySum(time_decay_value_micros) = value_micros),
    CONSTRAINT data_driven_adds_up CHECK empty(data_driven_credit_micros) OR NOT counted
        OR (arraySum(data_driven_credit_micros) = 1000000
            AND arraySum(data_driven_value_micros) = value_micros),
    CONSTRAINT touches_are_whole CHECK length(touch_event_ids) = length(touch_times)
        AND length(touch_event_ids) = length(touch_channels)
        AND length(touch_event_ids) = length(linear_credit_micros)
)
ENGINE = /*Replicated*/ReplacingMergeTree(revision, is_deleted)
PARTITION BY toYYYYMM(conversion_time)
ORDER BY (workspace, conversion_time, conversion_id)
