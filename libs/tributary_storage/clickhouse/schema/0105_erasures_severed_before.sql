-- Of how many conversions of the person an earlier erasure left what it severs, though this one was to remove them: that
-- one had not ended when this one was asked for.
ALTER TABLE erasures /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS severed_before UInt32 COMMENT 'conversions that stay in totals' AFTER severed_orders
