-- Adds to the newest state what `conversion_revisions` has of it.
ALTER TABLE conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS merged_into String COMMENT 'the conversion that counts in its place' CODEC(ZSTD(1))
