-- Deletes the person-level events of some workspaces and a month, in every version that was written of them: once for all
-- of them, because each time reads the partition. Never the whole of that: others' rows may be written into it at any time.
ALTER TABLE events
    DELETE IN PARTITION %(partition)s
    WHERE workspace IN %(workspaces)s
        AND kind IN %(kinds)s
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
SETTINGS mutations_sync = 2
