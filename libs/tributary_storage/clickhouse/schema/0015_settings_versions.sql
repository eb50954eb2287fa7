-- One row per version of a workspace's attribution settings: what the name on a revision stands for.
-- Order: reads want one version. A version is named by its content: written again, it replaces itself. Not partitioned:
-- a few rows per workspace. Kept: for ever.
CREATE TABLE IF NOT EXISTS settings_versions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    settings_version String,
    effective_from Nullable(DateTime64(6, 'UTC')) COMMENT 'first conversion time; NULL: since ever',
    content String CODEC(ZSTD(3)) COMMENT 'JSON, keys sorted: what the version is the hash of',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (workspace, settings_version)
