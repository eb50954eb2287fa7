-- One row per conversion that was observed in the days of one run of reconciliation: what its observations and
-- adjustments in `events` say together. Scratch: the run drops its partition when it ends.
-- Order: a run compares one slice of people at a time. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_conversions /*ON CLUSTER*/
(
    reconciliation_id String,
    slice UInt16,
    conversion_id String,
    person UInt64 COMMENT '0: it carries nothing that names a person',
    time Int64 COMMENT 'of its earliest observation, microseconds',
    hash UInt64 COMMENT 'likewise',
    session UInt64,
    name LowCardinality(String),
    store LowCardinality(String),
    order_id String,
    currency LowCardinality(String),
    original_micros Int64,
    value_micros Int64,
    counted Bool,
    retracted Bool,
    is_internal Bool,
    observations Array(String) COMMENT 'event ids',
    tokens Array(String),
    accept_time Int64 COMMENT 'of the newest event that says anything about it',
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, slice, conversion_id)
TTL record_time + INTERVAL 7 DAY
