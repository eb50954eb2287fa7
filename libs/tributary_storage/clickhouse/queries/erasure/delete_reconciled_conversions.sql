-- Deletes that runs of reconciliation compared conversions.
ALTER TABLE reconciled_conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
