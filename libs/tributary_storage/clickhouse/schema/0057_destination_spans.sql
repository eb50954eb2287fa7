-- One row per span of time in which a workspace declared a destination: conversions that were published in it are that
-- destination's to have, whether it was told of them yet or not. Written by delivery as it plans; spans may overlap.
-- Order: reads want a workspace's destinations. A row written again, with an end, replaces the open one. Not partitioned: a
-- few rows per destination. Kept: for ever.
CREATE TABLE IF NOT EXISTS destination_spans /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    destination_id LowCardinality(String),
    start_time DateTime64(6, 'UTC') COMMENT 'of publishing: no conversion that is planned for it was published before',
    end_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was seen to be declared no more; NULL: it is declared',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree(record_time)
ORDER BY (workspace, destination_id, start_time)
