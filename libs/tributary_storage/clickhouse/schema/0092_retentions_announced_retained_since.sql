-- Since when there will be person-level events once that is deleted which is told (`announce_time`): who shortens by mistake
-- what is kept, or whose clock is wrong, has more deleted than was told, and it is told anew.
ALTER TABLE retentions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS announced_retained_since DateTime64(6, 'UTC') COMMENT '1970: nothing is told'
