-- Since when it is told what retention will delete of a workspace that does not say for how long it keeps events of people:
-- before they are deleted by the default, somebody had the time to say.
ALTER TABLE retentions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS announce_time DateTime64(6, 'UTC') COMMENT '1970: it is not told, or somebody said'
