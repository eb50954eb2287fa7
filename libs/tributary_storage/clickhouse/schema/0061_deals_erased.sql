-- Whether the person of a deal was erased: it names nobody then, is no evidence of anything, and takes no further state.
ALTER TABLE deals /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS erased Bool DEFAULT false COMMENT 'its person was erased' AFTER conversion_name
