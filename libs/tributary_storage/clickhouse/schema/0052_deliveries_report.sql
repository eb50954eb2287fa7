-- What a destination reported later of what it had taken: the last word on it, where it gives one. Written over the row of
-- the attempt. NULL and '' where nothing was reported.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS report LowCardinality(String) COMMENT 'TAKEN, REJECTED, UNCLEAR' AFTER due_time,
    ADD COLUMN IF NOT EXISTS report_reason String CODEC(ZSTD(1)) COMMENT 'why, in its words' AFTER report,
    ADD COLUMN IF NOT EXISTS report_time Nullable(DateTime64(6, 'UTC')) AFTER report_reason
