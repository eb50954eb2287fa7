-- How much the word of who said what a conversion is worth counts: the same order may have been told by others, too. Of
-- `role`, 5 is since: what an order is that was told without the cycle of a subscription, and is counted with it.
ALTER TABLE stand_ins /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS source_rank UInt8 DEFAULT 2
