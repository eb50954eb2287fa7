-- Deletes the person-level events of a workspace and month, in every version that was written of them. Never the whole
-- partition: others' rows may be written into it at any time.
ALTER TABLE events
    DELETE IN PARTITION %(partition)s
    WHERE workspace = %(workspace)s
        AND kind IN %(kinds)s
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
SETTINGS mutations_sync = 2
