-- Deletes what `conversions` has of conversions, as far as it is theirs.
ALTER TABLE conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND /*theirs*/
SETTINGS mutations_sync = 2
