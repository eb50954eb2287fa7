-- Adds to the newest state what `conversion_revisions` has of it, and finds conversions by it without reading all of a
-- workspace.
ALTER TABLE conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS root_order_id String COMMENT 'the order that was the first conversion of its lead',
    ADD INDEX IF NOT EXISTS by_root_order_id root_order_id TYPE bloom_filter(0.01) GRANULARITY 1
