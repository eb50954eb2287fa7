-- Adds the click that a conversion is of by its own word, for comparing which of them count once per click.
ALTER TABLE reconciliation_conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS own_click UInt64
        COMMENT 'digest of the click id that its earliest observation with one carries itself; 0 none'
