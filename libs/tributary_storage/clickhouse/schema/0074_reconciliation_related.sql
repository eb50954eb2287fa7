-- One row per conversion that shares a lead, a subscription or an order number with those of one run of reconciliation,
-- perhaps through others: found in rounds, from the run's conversions on. Scratch: the run drops its partition when it ends.
-- Order: a round goes on from those of the one before. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_related /*ON CLUSTER*/
(
    reconciliation_id String,
    round UInt16,
    conversion_id String,
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, round, conversion_id)
TTL record_time + INTERVAL 7 DAY
