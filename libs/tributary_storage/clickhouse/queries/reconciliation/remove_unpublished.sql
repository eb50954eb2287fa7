-- Deletes what `conversions` has of conversions that nobody published. What was published since that was looked at stays.
ALTER TABLE conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
SETTINGS mutations_sync = 2
