-- Deletes what `events_by_conversion` has of conversions: what was accepted while these were the person's, and of some
-- events.
ALTER TABLE events_by_conversion
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND (
            accept_time <= fromUnixTimestamp64Micro(%(there_until)s, 'UTC')
            OR conversion_id IN %(own)s
            OR event_id IN %(event_ids)s
        )
SETTINGS mutations_sync = 2
