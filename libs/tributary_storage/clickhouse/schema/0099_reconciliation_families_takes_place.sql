-- What a conversion of a lead, or an order that was told twice, is to others of its name that does not count every one.
ALTER TABLE reconciliation_families /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS is_void Bool COMMENT 'what counts in its place was taken back: it stands in nobody''s way',
    ADD COLUMN IF NOT EXISTS takes_place Bool COMMENT 'it counts for those of its family that do not, from the earliest on'
