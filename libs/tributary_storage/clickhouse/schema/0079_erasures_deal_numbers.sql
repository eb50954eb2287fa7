-- By what order numbers and leads deals name the conversions of an erased person, so that one that comes later is found:
-- digests under a key of the workspace's own, which is kept nowhere in ClickHouse. Order numbers are few: whoever has no key
-- could try them all.
ALTER TABLE erasures /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS deal_numbers Array(String) COMMENT 'hexadecimal digits' CODEC(ZSTD(1)) AFTER data_key_names
