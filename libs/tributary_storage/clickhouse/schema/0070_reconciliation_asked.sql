-- One row per identity token of which one run of reconciliation asks whom it was seen with: its people are found in rounds,
-- from who is concerned to whom they are one person with. Scratch: the run drops its partition when it ends.
-- Order: a round reads its own tokens. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_asked /*ON CLUSTER*/
(
    reconciliation_id String,
    round UInt16,
    identity_token String,
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, round, identity_token)
TTL record_time + INTERVAL 7 DAY
