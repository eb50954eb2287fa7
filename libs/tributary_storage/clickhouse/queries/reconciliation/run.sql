-- The newest state of one run.
SELECT
    reconciliation_id,
    toUnixTimestamp64Micro(begin_time),
    toUnixTimestamp64Micro(end_time),
    toUnixTimestamp64Micro(create_time),
    state,
    repairs,
    slices,
    finished_slices,
    counts,
    with_changes
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND (reconciliation_id = %(run)s OR %(run)s = '')
ORDER BY
    create_time DESC,
    reconciliation_id DESC
LIMIT 1
