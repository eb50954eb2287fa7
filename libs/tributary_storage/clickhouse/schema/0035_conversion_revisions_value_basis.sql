-- Adds which part of its value is credited: pinned, so who computes the value again needs to know it.
ALTER TABLE conversion_revisions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS value_basis LowCardinality(String) COMMENT 'NET_OF_TAX, ...; empty: as sent'
