-- What findings say of one conversion: whether one that breaks a promise is not resolved, and whether one was repaired by
-- some revision of it.
SELECT
    countIf(state != 'RESOLVED' AND severity = 'ERROR') > 0 AS is_doubted,
    countIf(state = 'RESOLVED' AND repair_revision = %(revision)s) > 0 AS is_repaired
FROM reconciliation_findings FINAL
WHERE workspace = %(workspace)s
    AND has(splitByChar(',', conversion_id), %(conversion_id)s)
