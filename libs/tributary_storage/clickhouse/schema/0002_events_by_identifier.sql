-- One row per event and identity token: which events a person has, for rebuilding a journey, explaining and erasing.
-- Filled by `events_by_identifier_feed`; the event itself is read from `events` by its key.
-- Order: reads want one token of one workspace and a span of time. All of the key is fixed with the event, and so the
-- partition; a row written again replaces itself. Kept: as long as `events`.
CREATE TABLE IF NOT EXISTS events_by_identifier /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    identity_token String CODEC(ZSTD(1)),
    event_time DateTime64(6, 'UTC'),
    event_id String,
    kind LowCardinality(String),
    verdict LowCardinality(String),
    conversion_id String
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (workspace, identity_token, event_time, event_id)
