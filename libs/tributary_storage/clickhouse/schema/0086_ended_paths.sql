-- One row per run of retention, workspace and month of which person-level events were deleted: what data_driven would learn
-- of them no more after a loss of the state store, added up over all people and naming nobody. A person who is a path with
-- the events and a shorter one without them takes the shorter one off: counts may be negative. It counts once the rows
-- that go are counted (`deleted_rows`): from then on what is there and what is kept here make the same sum.
-- Order: reads want all of one workspace. A row with a higher version replaces the one before. Not partitioned: some rows
-- per workspace and month. Kept: for ever; it is what models are made of.
CREATE TABLE IF NOT EXISTS ended_paths /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    month Date,
    accepted_until DateTime64(6, 'UTC') COMMENT 'as in deleted_rows: a run that stopped is gone on with until this',
    version UInt64 COMMENT 'microseconds since 1970',
    counts Map(String, Int64) COMMENT 'conversion name, a zero byte and what is counted; no name: of every one'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, month, accepted_until)
