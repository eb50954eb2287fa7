-- By how much a destination has more than is true, where it has no way to be told. NULL where it is not known, and on every
-- row that is no such correction.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS residual_micros Nullable(Int64) COMMENT 'of an UNDELIVERABLE_CORRECTION' AFTER value_micros
