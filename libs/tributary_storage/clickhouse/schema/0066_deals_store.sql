-- Whose order ids a deal's are: order numbers repeat between shops.
ALTER TABLE deals /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS store LowCardinality(String) COMMENT 'whose order ids these are; empty: not said' AFTER erased
