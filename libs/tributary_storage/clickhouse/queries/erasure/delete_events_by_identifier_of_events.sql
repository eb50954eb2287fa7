-- Deletes under whatever identifier some events are found: what changes a conversion and another device told, too. Not
-- what stays an entry of somebody else's journey.
ALTER TABLE events_by_identifier
    DELETE WHERE workspace = %(workspace)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
        AND event_id NOT IN %(entry_ids)s
SETTINGS mutations_sync = 2
