-- Deletes under which identifiers the person-level events of a workspace and month were found.
ALTER TABLE events_by_identifier
    DELETE IN PARTITION %(partition)s
    WHERE workspace = %(workspace)s
        AND kind IN %(kinds)s
SETTINGS mutations_sync = 2
