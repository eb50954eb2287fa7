-- Deletes what was kept of an erasure until it is finished, in all its versions.
ALTER TABLE unfinished_erasures
    DELETE WHERE workspace = %(workspace)s
        AND erasure_id = %(erasure_id)s
SETTINGS mutations_sync = 2
