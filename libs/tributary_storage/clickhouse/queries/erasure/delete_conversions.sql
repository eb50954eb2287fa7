-- Deletes what `conversions` has of conversions.
ALTER TABLE conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
