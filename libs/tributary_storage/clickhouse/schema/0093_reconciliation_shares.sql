-- One row per adjustment of an order that was told as several first cycles, and names none of them, and cycle that it
-- changes, as one run of reconciliation derived it. Scratch: the run drops its partition when it ends.
-- Order: joined by event. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_shares /*ON CLUSTER*/
(
    reconciliation_id String,
    event_id String COMMENT 'of the adjustment',
    conversion_id String COMMENT 'the cycle',
    is_part Bool COMMENT 'it changes that by another amount than it says',
    amount_micros Int64,
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, event_id, conversion_id)
TTL record_time + INTERVAL 7 DAY
