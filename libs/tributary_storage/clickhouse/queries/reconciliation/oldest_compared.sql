-- When the earliest conversion was that a run compares.
SELECT minOrNull(time)
FROM reconciliation_conversions
WHERE reconciliation_id = %(run)s
    AND is_compared
