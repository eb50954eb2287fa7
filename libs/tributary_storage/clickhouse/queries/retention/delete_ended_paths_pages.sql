-- Deletes the pages of a month that is added up, of some workspaces at once.
ALTER TABLE ended_paths_pages
    DELETE WHERE workspace IN %(workspaces)s
        AND month = %(month)s
SETTINGS mutations_sync = 2
