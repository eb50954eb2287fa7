-- One row per identity token of a person who has several, as one run of reconciliation derived them from edges alone. A
-- token that is not here is a person by itself. Scratch: the run drops its partition when it ends.
-- Order: joined by token. Kept: a week, should a run never come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_people /*ON CLUSTER*/
(
    reconciliation_id String,
    identity_token String,
    person UInt64 COMMENT 'xxHash64 of the token that stands for the person',
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, identity_token)
TTL record_time + INTERVAL 7 DAY
