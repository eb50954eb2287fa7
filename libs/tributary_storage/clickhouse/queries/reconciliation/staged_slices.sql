-- The slices in which a run has anything to compare: conversions by their own people, and by those whose journeys earn them.
SELECT slice
FROM reconciliation_conversions
WHERE reconciliation_id = %(run)s
UNION DISTINCT
SELECT slice
FROM reconciliation_families
WHERE reconciliation_id = %(run)s
