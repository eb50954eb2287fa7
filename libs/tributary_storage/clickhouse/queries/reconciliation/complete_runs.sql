-- Which days runs have looked at that came to their end, of those that touch some days, and when the last of each began.
SELECT
    toUnixTimestamp64Micro(begin_time),
    toUnixTimestamp64Micro(end_time),
    toUnixTimestamp64Micro(max(create_time))
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND state = 'COMPLETE'
    AND (repairs OR NOT %(repairs)s)
    AND begin_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND end_time > fromUnixTimestamp64Micro(%(begin)s, 'UTC')
GROUP BY
    begin_time,
    end_time
