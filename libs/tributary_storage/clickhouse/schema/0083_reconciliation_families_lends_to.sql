-- Which conversion the adjustments of one change, too: the same order, told with the cycle of a subscription.
ALTER TABLE reconciliation_families /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS lends_to String
