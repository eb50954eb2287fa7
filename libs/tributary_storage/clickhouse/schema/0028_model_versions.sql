-- One row per (workspace, conversion name, model version): what data_driven learned and from what evidence; under the empty
-- version the newest evaluation that gave no model, and why. Credits name versions, so nothing is ever removed.
-- Written by attribution, before any credit names the version. `model` is the whole message (tributary.attribution.v1.Model).
-- Order: reads want one workspace. The same version published again replaces itself with its newer time: the newest row of
-- a name is what is in use. Not partitioned: some rows per workspace and day. Kept: for ever.
CREATE TABLE IF NOT EXISTS model_versions /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_name LowCardinality(String),
    version String COMMENT 'empty: there was no model',
    method LowCardinality(String) COMMENT 'MARKOV, SHAPLEY',
    status LowCardinality(String) COMMENT 'PUBLISHED, or why there is none',
    paths UInt64,
    conversions UInt64,
    minimum_paths UInt64,
    minimum_conversions UInt64,
    conversion_probability Float64,
    channels Array(LowCardinality(String)),
    weight_picos Array(Int64),
    removal_effect_picos Array(Int64),
    publish_time DateTime64(6, 'UTC'),
    model String CODEC(ZSTD(3)),
    CONSTRAINT weights_add_up CHECK empty(version) OR arraySum(weight_picos) = 1000000000000
)
ENGINE = /*Replicated*/ReplacingMergeTree(publish_time)
ORDER BY (workspace, conversion_name, version)
