-- Deletes what `reconciliation_findings` has of conversions.
ALTER TABLE reconciliation_findings
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
