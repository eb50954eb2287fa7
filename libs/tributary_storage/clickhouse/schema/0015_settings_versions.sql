-- One row per entry in the history of a workspace's attribution settings: from when on which version holds, and what its
-- name stands for. The same version may hold twice, with another between.
-- Order: reads want one workspace, in order of time. An entry is never edited: written again, it replaces itself. Not
-- partitioned: a few rows per workspace. Kept: for ever.
CREATE TABLE IF NOT EXISTS settings_versions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    settings_version String,
    effective_from DateTime64(6, 'UTC') COMMENT 'first conversion time; 1970: since ever',
    content String CODEC(ZSTD(3)) COMMENT 'JSON, keys sorted: what the version is the hash of',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, effective_from, settings_version)
