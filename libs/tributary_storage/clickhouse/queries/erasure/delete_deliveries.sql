-- Deletes what `deliveries` has of conversions.
ALTER TABLE deliveries
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
