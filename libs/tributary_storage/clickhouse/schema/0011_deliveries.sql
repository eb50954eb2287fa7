-- One row per attempt to send one revision of one conversion to one destination; attempt 0 where none was made because
-- it was not eligible. The sent ledger: what left the house, when, under which visible id, worth what, on which
-- consent. Written by delivery after each attempt. The same attempt written again replaces itself.
-- Order: reads want a conversion's deliveries; sums over a destination read them all. A revision's number never changes
-- and is the time it was published, in microseconds, and so chooses the partition. Kept: 400 days, then dropped by the
-- month.
CREATE TABLE IF NOT EXISTS deliveries /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    destination_id LowCardinality(String),
    conversion_id String,
    revision UInt64,
    attempt UInt32 COMMENT 'counted from 1; 0: none was made',
    operation LowCardinality(String) COMMENT 'CREATE, RESTATE, RETRACT, CREDIT',
    state LowCardinality(String) COMMENT 'after this attempt; PENDING: it will be tried again',
    outcome LowCardinality(String) COMMENT 'class of what the destination answered',
    status_code Int32 COMMENT '0: no answer',
    ineligible_reason LowCardinality(String),
    message String CODEC(ZSTD(1)),
    visible_id String CODEC(ZSTD(1)),
    destination_request_id String CODEC(ZSTD(1)),
    click_id_family LowCardinality(String),
    click_id String CODEC(ZSTD(1)) COMMENT 'as it was sent: a correction names the same',
    identifier_digests Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'hashes, by the name of the field',
    sent_conversion_time Nullable(DateTime64(6, 'UTC')) COMMENT 'as it was sent',
    consent_basis LowCardinality(String),
    currency LowCardinality(String),
    value_micros Int64,
    plan_time DateTime64(6, 'UTC'),
    attempt_time DateTime64(6, 'UTC') COMMENT 'plan_time where none was made',
    due_time Nullable(DateTime64(6, 'UTC')) COMMENT 'of the next attempt; NULL where it is done',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') COMMENT 'when this row was written',
    INDEX by_attempt_time attempt_time TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(toInt64(revision), 'UTC'))
ORDER BY (workspace, destination_id, conversion_id, revision, attempt)
TTL toDateTime(fromUnixTimestamp64Micro(toInt64(revision), 'UTC')) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
