-- By what the data keys of a person's match keys were called, so that after a loss of the state store none is made again for
-- what happened until the erasure. A digest of workspace and identity token, from which neither can be told.
ALTER TABLE erasures /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS data_key_names Array(String) COMMENT 'hexadecimal digits' CODEC(ZSTD(1)) AFTER person_keys
