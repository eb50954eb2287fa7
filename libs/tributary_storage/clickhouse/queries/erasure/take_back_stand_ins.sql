-- Deletes what stands in for conversions that are still there.
ALTER TABLE stand_ins
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(copies)s
SETTINGS mutations_sync = 2
