-- The conversions that a run compares, but for others of their leads and subscriptions.
SELECT DISTINCT conversion_id
FROM reconciliation_targets
WHERE reconciliation_id = %(run)s
