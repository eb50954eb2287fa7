-- Deletes what `deliveries` has of conversions, as far as it is theirs, also of those that somebody told again.
ALTER TABLE deliveries
    DELETE WHERE workspace = %(workspace)s
        AND (
            (conversion_id IN %(conversions)s AND /*theirs*/)
            OR (conversion_id, revision) IN %(attempts)s
        )
SETTINGS mutations_sync = 2
