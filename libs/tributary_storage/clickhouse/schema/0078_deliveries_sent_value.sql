-- Which value a destination was told, and in which share: what follows tells the same, whatever the file says by then. '' on
-- rows from before, and of what is told all.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS sent_value String COMMENT 'full, basis, or credited: and the share, part/whole in micros' CODEC(ZSTD(1)) AFTER sent_account
