-- The person id that each identifier has by itself, which is the person's whose first one it is, and whether it is that: so
-- that a conversion is found that is stored as somebody else's.
ALTER TABLE reconciliation_people /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS person_id String,
    ADD COLUMN IF NOT EXISTS is_first Bool DEFAULT false
