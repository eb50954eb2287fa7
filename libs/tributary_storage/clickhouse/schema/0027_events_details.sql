-- Adds what SQL needs of an event, beside its columns, to recompute what was streamed and to explain it. Few events have any
-- of these texts, so they share one column, by name: every column costs each insert, and each row, however little it holds.
ALTER TABLE events /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS details Map(LowCardinality(String), String) CODEC(ZSTD(1))
        COMMENT 'what else it says, by the names of event_details.EVENT_DETAILS; what was not said has no key'
