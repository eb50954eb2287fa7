-- Says which conversions a run compares: those of its days, and those that what came in these days may have changed. The
-- others are only read, for they decide about these.
ALTER TABLE reconciliation_conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS is_compared Bool DEFAULT true
