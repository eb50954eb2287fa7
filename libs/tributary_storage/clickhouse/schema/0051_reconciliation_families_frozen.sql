-- Whose credit a conversion has where that is frozen: it is compared with what is stored there, not computed.
ALTER TABLE reconciliation_families /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS frozen_at String
