-- What could not leave: no connection was made, or there was no access token. It is no attempt: its row stands beside that of
-- the attempt before it (0: there was none), and is replaced by the next one that cannot leave.
ALTER TABLE deliveries /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS unsent UInt8 COMMENT '1: what was to follow this attempt could not leave' AFTER attempt,
    MODIFY ORDER BY (workspace, destination_id, conversion_id, revision, attempt, unsent)
