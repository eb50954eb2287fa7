-- One row per (stand-in, adjustment): what changed an order as a whole, of which a conversion is severed because its person
-- was erased, while others of the order live: of one that was told without its cycle what was said, of a cycle what of that
-- was its part. So the others of several cycles go on being changed by what is theirs. An adjustment names nobody.
-- Order: asked for by stand-in; few. A row with a higher version replaces the one before. Kept: as long as any of the order
-- lives.
CREATE TABLE IF NOT EXISTS order_changes /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    conversion_id String COMMENT 'of the stand-in',
    event_id String COMMENT 'of the adjustment',
    version UInt64 COMMENT 'when this was written, microseconds',
    is_share Bool COMMENT 'it is the part of a cycle, which is in what that is worth',
    is_named Bool COMMENT 'likewise: it names the cycle, too, so that none of it is another''s',
    time Int64,
    hash UInt64,
    kind LowCardinality(String),
    identity String COMMENT 'what two reports of one adjustment share',
    has_amount Bool,
    amount_micros Int64,
    currency LowCardinality(String),
    tax_micros Int64 COMMENT '-1: not sent; likewise the next two',
    shipping_micros Int64,
    cost_of_goods_micros Int64,
    accept_time Int64,
    admitted String CODEC(ZSTD(3)) COMMENT 'AdmittedEvent: what is kept of it'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, conversion_id, event_id)
