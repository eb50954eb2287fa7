-- Adds the order that was the first conversion of a stage's lead: leads are found by it, whatever else names them. Revisions
-- of before have none.
ALTER TABLE conversion_revisions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS root_order_id String COMMENT 'the order that was the first conversion of its lead'
