-- Deletes under whatever identifier some events are found: those of a conversion that another device observed, too.
ALTER TABLE events_by_identifier
    DELETE WHERE workspace = %(workspace)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
SETTINGS mutations_sync = 2
