-- Adds who was who, by identity token, and what takes a change back. A change that made others of several people is neither
-- a merge nor a split, so the kinds are checked no more: they are those of `identity_changes.py`.
ALTER TABLE identity_changes /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS tokens_before Array(Array(String)) CODEC(ZSTD(1)) COMMENT 'per person of person_ids_before',
    ADD COLUMN IF NOT EXISTS tokens_after Array(Array(String)) CODEC(ZSTD(1)) COMMENT 'per person of person_ids_after',
    ADD COLUMN IF NOT EXISTS undo Array(Array(String)) CODEC(ZSTD(1))
        COMMENT 'takes it back: two identity tokens and what an operator has to say of them, joined, separated, withdrawn',
    DROP CONSTRAINT IF EXISTS kind_is_known
