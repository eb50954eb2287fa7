-- Checks no more here what `conversion_revisions` checks of the same rows before `conversions_feed` brings them: every
-- insert paid for it twice, a tenth of its time.
ALTER TABLE conversions /*ON CLUSTER*/
    DROP CONSTRAINT IF EXISTS first_touch_adds_up,
    DROP CONSTRAINT IF EXISTS last_touch_adds_up,
    DROP CONSTRAINT IF EXISTS last_non_direct_adds_up,
    DROP CONSTRAINT IF EXISTS linear_adds_up,
    DROP CONSTRAINT IF EXISTS position_based_adds_up,
    DROP CONSTRAINT IF EXISTS time_decay_adds_up,
    DROP CONSTRAINT IF EXISTS data_driven_adds_up,
    DROP CONSTRAINT IF EXISTS touches_are_whole
