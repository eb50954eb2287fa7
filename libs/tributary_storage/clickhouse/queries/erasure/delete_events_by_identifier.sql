-- Deletes under which identifiers a person's events are found.
ALTER TABLE events_by_identifier
    DELETE WHERE workspace = %(workspace)s
        AND identity_token IN %(tokens)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
SETTINGS mutations_sync = 2
