SELECT conversion_id
FROM reconciliation_targets
WHERE reconciliation_id = %(run)s
UNION ALL
SELECT conversion_id
FROM reconciliation_related
WHERE reconciliation_id = %(run)s
