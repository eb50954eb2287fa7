-- One row per event that was refused: CONFLICT or REJECTED, with the reasons, so that nothing vanishes. The same event
-- refused twice is two rows: each was received and answered. Written by the recorder of dedup.
-- Order: reads want one workspace and a span of time. An event id may be missing or repeat, so the key is the place in
-- the event log, which never changes: a row written again replaces itself. Partitioned by the time of that place, not
-- by the event's own, which may be absurd. Kept: for ever; meant for 14 months.
CREATE TABLE IF NOT EXISTS refusals /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    accept_time DateTime64(6, 'UTC') COMMENT 'when it was refused, by the clock of the event log',
    log_shard UInt16,
    log_lane LowCardinality(String),
    log_milliseconds UInt64 COMMENT 'first part of the entry id',
    log_sequence UInt64 COMMENT 'second part of the entry id',
    log_index UInt16 COMMENT 'which event of the entry',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') COMMENT 'when this row was written',
    verdict LowCardinality(String) COMMENT 'CONFLICT, REJECTED',
    reason_codes Array(LowCardinality(String)),
    reason_fields Array(LowCardinality(String)) COMMENT 'path into the event, one per reason',
    reason_messages Array(String) CODEC(ZSTD(1)),
    event_id String,
    kind LowCardinality(String),
    conversion_id String,
    payload_digest String COMMENT 'one byte version, eight bytes digest',
    api_key_id LowCardinality(String),
    traceparent String CODEC(ZSTD(1)),
    admitted String CODEC(ZSTD(3)) COMMENT 'tributary.dedup.v1.AdmittedEvent',
    INDEX by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    CONSTRAINT verdict_is_refusal CHECK verdict IN ('CONFLICT', 'REJECTED'),
    CONSTRAINT reasons_are_whole CHECK length(reason_codes) = length(reason_fields)
        AND length(reason_codes) = length(reason_messages)
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(accept_time)
ORDER BY (workspace, accept_time, log_shard, log_lane, log_milliseconds, log_sequence, log_index)
