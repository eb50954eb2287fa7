-- Says whether a run compares, beside the conversions of its days, those that what was accepted in these days may have
-- changed, whenever they were.
ALTER TABLE reconciliations /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS with_changes Bool DEFAULT false
