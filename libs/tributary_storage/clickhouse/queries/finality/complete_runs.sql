-- The complete runs of reconciliation that looked at any of some days and at all they should of theirs: none that left
-- younger conversions to the next run, or parts of which more differed than could be named at once.
SELECT
    toUnixTimestamp64Micro(begin_time),
    toUnixTimestamp64Micro(end_time),
    toUnixTimestamp64Micro(create_time)
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND state = 'COMPLETE'
    AND begin_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND end_time > fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND counts['too_recent'] = 0
    AND counts['cut_slices'] = 0
ORDER BY
    create_time,
    reconciliation_id
