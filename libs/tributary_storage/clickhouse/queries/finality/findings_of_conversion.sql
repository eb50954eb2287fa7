-- What findings say of one conversion: whether one that breaks a promise is not resolved, whether one was repaired by some
-- revision of it, and when the run that did so was asked for.
SELECT
    countIf(f.state != 'RESOLVED' AND f.severity = 'ERROR') > 0 AS is_doubted,
    countIf(f.state = 'RESOLVED' AND f.repair_revision = %(revision)s) > 0 AS is_repaired,
    maxIf(toUnixTimestamp64Micro(r.create_time), f.state = 'RESOLVED' AND f.repair_revision = %(revision)s)
FROM
(
    SELECT *
    FROM reconciliation_findings FINAL
    WHERE workspace = %(workspace)s
        AND has(splitByChar(',', conversion_id), %(conversion_id)s)
) AS f
LEFT JOIN
(
    SELECT
        reconciliation_id,
        create_time
    FROM reconciliations FINAL
    WHERE workspace = %(workspace)s
) AS r ON r.reconciliation_id = f.reconciliation_id
