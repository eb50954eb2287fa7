-- Whether what stands in was taken back: the same order, told in another way, counts no more by that.
ALTER TABLE stand_ins /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS is_retracted Bool
