-- The complete runs of reconciliation that looked at any of some days and at all they should of theirs: none whose answers
-- were cut where something breaks a promise, none that read before all was recorded. And whether it compared all credit: not
-- where touches were deleted by their age.
-- What they left to the next run is noted by conversion; of those that noted nothing yet, none that left any.
SELECT
    toUnixTimestamp64Micro(begin_time),
    toUnixTimestamp64Micro(end_time),
    toUnixTimestamp64Micro(create_time),
    counts['too_old'] = 0
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND state = 'COMPLETE'
    AND begin_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND end_time > fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND (counts['too_recent'] = 0 OR mapContains(counts, 'noted'))
    AND counts['cut_slices'] + counts['cut_checks'] + counts['cut_losses'] + counts['unrecorded'] = 0
ORDER BY
    create_time,
    reconciliation_id
