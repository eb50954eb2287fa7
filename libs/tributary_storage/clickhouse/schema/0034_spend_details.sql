-- Tells the lines of two slices apart that the destination is said to have reported at the same time. Lines are written
-- before `spend_slices` says that they count: an import that failed in between, and came again with other content, leaves
-- lines of both, of which those count whose digest is that of their day's slice. Lines of before have none.
ALTER TABLE spend /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS content_digest String COMMENT 'of the whole slice, 16 bytes; as in spend_slices',
    MODIFY ORDER BY (workspace, date, destination, account_id, slice_version, line, content_digest)
