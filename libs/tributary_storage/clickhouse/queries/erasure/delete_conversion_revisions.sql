-- Deletes what `conversion_revisions` has of conversions.
ALTER TABLE conversion_revisions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
