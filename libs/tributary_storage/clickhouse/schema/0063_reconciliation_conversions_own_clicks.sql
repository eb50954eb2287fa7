-- Adds the clicks that each observation of a conversion is of by its own word: which of them counts depends on what its
-- person allowed. Takes the place of `own_click`.
ALTER TABLE reconciliation_conversions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS own_clicks Array(Tuple(Int64, UInt64, UInt64))
        COMMENT 'event time, hash of the event id, digest of the click id; of the observations that carry one, in event order'
