-- When what was refused happened: who is erased is so with all that happened until then, also where it is refused later.
-- Of rows that say nothing of it: when it was refused.
ALTER TABLE refusals /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS event_time DateTime64(6, 'UTC') DEFAULT accept_time
    COMMENT 'when it was refused, where the event does not say, or says a later moment' AFTER accept_time
