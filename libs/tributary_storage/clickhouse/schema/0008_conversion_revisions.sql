-- One row per (workspace, conversion, revision): everything a conversion ever was, with cause and posting day.
-- `revised` is the whole message (tributary.attribution.v1.ConversionRevised), deltas and match keys included; the
-- other columns are what is asked for. Written by attribution, before the revision goes to the conversion log.
-- Touches and credits are arrays of one length. Where a model leaves something to nobody, all have one more element:
-- event id '', channel 'unattributed', the conversion's own time. A conversion that is not counted may have none.
-- Order: reads want one conversion, in order. A revision never changes: a row written again replaces itself. Its number
-- is the time it was published, in microseconds, and so chooses the partition. Kept: for ever.
CREATE TABLE IF NOT EXISTS conversion_revisions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_id String,
    revision UInt64,
    previous_revision UInt64 COMMENT '0 for the first',
    conversion_time DateTime64(6, 'UTC'),
    replaced_conversion_time Nullable(DateTime64(6, 'UTC')) COMMENT 'where the time was corrected: what it was before',
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
    value_delta_micros Int64 COMMENT 'signed, against the revision before',
    counted_delta Int8,
    causing_event_ids Array(String) CODEC(ZSTD(1)),
    cause_accept_time DateTime64(6, 'UTC') COMMENT 'of the event that caused it',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') COMMENT 'when this row was written',
    traceparent String CODEC(ZSTD(1)),
    revised String CODEC(ZSTD(3)),
    INDEX by_posting_date posting_date TYPE minmax GRANULARITY 1,
    INDEX by_record_time record_time TYPE minmax GRANULARITY 1,
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
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(toInt64(revision), 'UTC'))
ORDER BY (workspace, conversion_id, revision)
