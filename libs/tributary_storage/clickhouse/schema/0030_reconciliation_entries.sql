-- One row per touchpoint or conversion of a journey, as one run of reconciliation read it from `events`: numbers only.
-- Scratch: the run drops its partition when it ends.
-- Order: a run compares one slice of people at a time, each journey in event order. Kept: a week, should a run never
-- come to its end.
CREATE TABLE IF NOT EXISTS reconciliation_entries /*ON CLUSTER*/
(
    reconciliation_id String,
    slice UInt16,
    person UInt64,
    time Int64 COMMENT 'event time, microseconds',
    hash UInt64 COMMENT 'xxHash64 of the event id: with the time the place in event order',
    kind UInt8 COMMENT 'as TouchKind numbers them: 1 visit ... 6 coupon, 7 conversion',
    flags UInt8 COMMENT '1 direct, 2 quarantined, 4 no touch, 8 no consent, 16 internal or test',
    source UInt64 COMMENT 'digest of where it came from and the rule that said so; 0 a plain direct visit',
    shown UInt64 COMMENT 'digest of where it came from as `conversions` shows it',
    click UInt64 COMMENT 'digest of the click id that names one click; 0 none',
    interaction UInt64,
    session UInt64 COMMENT 'digest of the session id of the caller; 0 none',
    click_time Int64 COMMENT 'when the click was made; 0: nobody said',
    name LowCardinality(String) COMMENT 'channel of a touchpoint, name of a conversion',
    accept_time Int64,
    record_time DateTime DEFAULT now()
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY reconciliation_id
ORDER BY (reconciliation_id, slice, person, time, hash)
TTL record_time + INTERVAL 7 DAY
