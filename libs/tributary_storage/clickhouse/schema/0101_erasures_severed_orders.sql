-- By what orders are recognised that somebody tells again after their conversion was severed, so that they count once:
-- digests under a key of the workspace's own, as of `deal_numbers`. A conversion id is made of the order's number alone.
ALTER TABLE erasures /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS severed_orders Array(String) COMMENT 'o1: and hexadecimal digits' CODEC(ZSTD(1)) AFTER deal_numbers
