-- In which currency, and by how many conversions, a destination has more than is true. '' and 0 on rows from before: there it
-- is the value's currency.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS residual_currency LowCardinality(String) COMMENT 'of residual_micros' AFTER residual_micros,
    ADD COLUMN IF NOT EXISTS residual_conversions Int32 COMMENT '1: counts one that never was; -1: lacks one' AFTER residual_currency
