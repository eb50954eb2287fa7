-- Deletes what `events_by_conversion` has of conversions.
ALTER TABLE events_by_conversion
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
