-- Deletes under which identifiers the person-level events of some workspaces and a month were found.
ALTER TABLE events_by_identifier
    DELETE IN PARTITION %(partition)s
    WHERE workspace IN %(workspaces)s
        AND kind IN %(kinds)s
SETTINGS mutations_sync = 2
