-- Adds to the newest state what `conversion_revisions` has of it.
ALTER TABLE conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS value_basis LowCardinality(String) COMMENT 'NET_OF_TAX, ...; empty: as sent'
