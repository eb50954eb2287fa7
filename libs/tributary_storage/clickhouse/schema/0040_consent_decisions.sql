-- One row per identity token of an event that decides something about consent: what the consent ledger is rebuilt from
-- once the state store has lost it, and what reconciliation asks. An event that says when the person decided, decides all
-- that it says; one that does not, only what was denied of all but being measured. Filled by `consent_decisions_feed`.
-- Order: reads want the identifiers of one workspace, whatever the time. All of the key is fixed with the event; a row
-- written again replaces itself. Not partitioned: asked for without its time. Kept: until the person is erased.
CREATE TABLE IF NOT EXISTS consent_decisions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    identity_token String CODEC(ZSTD(1)),
    decision_time DateTime64(6, 'UTC') COMMENT 'when the person decided; never after we heard of it',
    event_id String CODEC(ZSTD(1)),
    states UInt16 COMMENT 'two bits each, 0 unsaid, 1 granted, 2 denied: lowest ad_storage, then as consent.PURPOSES',
    region LowCardinality(String),
    source LowCardinality(String) COMMENT 'who says so'
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, identity_token, decision_time, event_id)
SETTINGS index_granularity = 1024
