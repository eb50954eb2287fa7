-- Deletes the ids of person-level events of some workspaces that are older than each keeps them: at the door what is as old
-- is refused, whatever its id. The table has no partitions: once for all that was deleted.
ALTER TABLE events_by_id
    DELETE WHERE workspace IN %(workspaces)s
        AND kind IN %(kinds)s
        AND event_time < fromUnixTimestamp64Micro(transform(toString(workspace), %(names)s, %(moments)s, 0::Int64), 'UTC')
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
SETTINGS mutations_sync = 2
