-- Says of which people an edge, or an operator's word, came in the days of a run that compares what these changed.
ALTER TABLE reconciliation_people /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS is_changed Bool DEFAULT false
