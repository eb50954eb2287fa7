-- One row per request that a destination queued and reported on later: how many conversions it held, and of how many it
-- says what. A destination says how many were refused for a reason, seldom which: so causes add up here, by request, and
-- not in `deliveries`. Replaced by the newer report. Order: sums want a destination's days. Partitioned by when it was
-- queued, which never changes. Kept: 400 days, then dropped by the month.
CREATE TABLE IF NOT EXISTS destination_reports /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    destination_id LowCardinality(String),
    request_id String CODEC(ZSTD(1)),
    accept_time DateTime64(6, 'UTC') COMMENT 'when the destination queued it',
    report_time DateTime64(6, 'UTC') COMMENT 'when it was read',
    status LowCardinality(String) COMMENT 'of the request, in its words',
    conversions UInt32 COMMENT 'that were in it',
    taken UInt32 COMMENT 'all that no cause is named for',
    causes Map(LowCardinality(String), UInt32) COMMENT 'of those that were not taken',
    CONSTRAINT adds_up CHECK conversions = taken + arraySum(mapValues(causes))
)
ENGINE = /*Replicated*/ReplacingMergeTree(report_time)
PARTITION BY toYYYYMM(accept_time)
ORDER BY (workspace, destination_id, accept_time, request_id)
TTL toDateTime(accept_time) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
