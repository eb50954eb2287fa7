-- The newest run that was asked for the same since some moment and has not come to its end.
SELECT reconciliation_id
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND state != 'COMPLETE'
    AND repairs = %(repairs)s
    AND slices = %(slices)s
    AND with_changes = %(with_changes)s
    AND begin_time = fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND end_time = fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND create_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC')
ORDER BY create_time DESC
LIMIT 1
