-- One row per run of retention, workspace, table and month of which rows were deleted: how many, by verdict, so that what
-- was received still equals what is there or was deleted. Stored before the rows go: from then on they are counted here
-- and not there, whether they are gone yet or not (`is_deleted`).
-- Order: reads want all of one workspace. A row with a higher version replaces the one before. Not partitioned: some rows
-- per workspace and month. Kept: for ever; it is what the counters of the event log are held against.
CREATE TABLE IF NOT EXISTS deleted_rows /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    source_table LowCardinality(String) COMMENT 'events: of event_time in the month; refusals: of accept_time in it',
    month Date,
    accepted_until DateTime64(6, 'UTC') COMMENT 'rows that were accepted before it',
    version UInt64 COMMENT 'microseconds since 1970',
    rows Map(LowCardinality(String), UInt64) COMMENT 'by verdict',
    is_deleted Bool,
    CONSTRAINT source_table_is_known CHECK source_table IN ('events', 'refusals')
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, source_table, month, accepted_until)
