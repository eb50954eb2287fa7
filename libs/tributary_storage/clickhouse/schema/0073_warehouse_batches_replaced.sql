-- Says of each revision of a batch which one its postings take back, decided with the batch: rows that were lost and are
-- there again later change what follows what, and what was posted stays posted.
ALTER TABLE warehouse_batches /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS replaced Array(UInt64) CODEC(ZSTD(1))
        COMMENT '0: none; the revision itself: a newer one, posted before it was there, has taken its change in; empty: as each row names'
