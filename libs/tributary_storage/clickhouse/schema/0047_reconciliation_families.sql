-- One row per conversion of a lead or a subscription, as one run of reconciliation derived them: first named, so that it
-- is read whenever it was, then settled: at which conversion's place it is credited. Scratch: the run drops its partition
-- when it ends.
-- Order: joined by conversion. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_families /*ON CLUSTER*/
(
    reconciliation_id String,
    conversion_id String,
    is_settled UInt8 COMMENT '0: it is only named',
    slice UInt16 COMMENT 'of the person whose journey earns it; likewise what follows',
    person UInt64,
    time Int64,
    hash UInt64,
    session UInt64,
    is_superseded Bool COMMENT 'a later stage counts',
    is_lost Bool COMMENT 'the lead is lost',
    accept_time Int64 COMMENT 'of the newest event that says anything about its family',
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree(is_settled)
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, conversion_id)
TTL record_time + INTERVAL 7 DAY
