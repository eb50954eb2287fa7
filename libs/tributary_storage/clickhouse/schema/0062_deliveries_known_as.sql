-- What else a destination knows a conversion by, beside its visible id: a correction, and a repeated attempt, name the same.
-- '' on rows from before, and where a destination has no such thing.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS sent_name LowCardinality(String) COMMENT 'what the conversion was called there' AFTER visible_id,
    ADD COLUMN IF NOT EXISTS sent_account LowCardinality(String) COMMENT 'in which account, data set or object' AFTER sent_name
