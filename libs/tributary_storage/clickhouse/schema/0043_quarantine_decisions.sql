-- One row per quarantined event and what was decided about it: RELEASED or REJECTED. Written by the recorder of dedup from
-- the event log. A released event is a row of `events` like any other from then on, in place of the quarantined one; this
-- row says who let it in, when and why. One that was rejected stays quarantined in `events`, and may be released later.
-- Order: reads want some events of one workspace. A decision that is said again replaces itself. Not partitioned: people
-- decide little. Kept: for ever; it is the reason for credit.
CREATE TABLE IF NOT EXISTS quarantine_decisions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    event_id String,
    action LowCardinality(String) COMMENT 'RELEASED, REJECTED',
    decide_time DateTime64(6, 'UTC') COMMENT 'by the clock of the event log',
    decided_by LowCardinality(String) COMMENT 'id of the API key',
    reason String CODEC(ZSTD(1)) COMMENT 'in the words of who decided',
    first_accept_time DateTime64(6, 'UTC') COMMENT 'when the event was accepted into quarantine',
    conversion_id String COMMENT 'that the event observes or adjusts',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    CONSTRAINT action_is_known CHECK action IN ('RELEASED', 'REJECTED')
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, event_id, action)
