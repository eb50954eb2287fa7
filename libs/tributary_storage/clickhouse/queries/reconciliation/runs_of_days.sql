-- Which days runs have looked at that came to their end, or did not, of those that touch some days, and when each began.
SELECT
    toUnixTimestamp64Micro(begin_time),
    toUnixTimestamp64Micro(end_time),
    toUnixTimestamp64Micro(create_time)
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND (state = 'COMPLETE') = %(complete)s
    AND (repairs OR NOT %(repairs)s)
    AND begin_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND end_time > fromUnixTimestamp64Micro(%(begin)s, 'UTC')
