-- One row per conversion that one run of reconciliation is to compare. Scratch: the run drops its partition when
-- it ends.
-- Order: joined by conversion. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_targets /*ON CLUSTER*/
(
    reconciliation_id String,
    conversion_id String,
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, conversion_id)
TTL record_time + INTERVAL 7 DAY
