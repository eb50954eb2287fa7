-- Adds which conversion counts in place of it, the same order told with its cycle: where both are sums of one thing, it is
-- no second one. Revisions of before have none.
ALTER TABLE conversion_revisions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS merged_into String COMMENT 'the conversion that counts in its place' CODEC(ZSTD(1))
