-- Whether any order of some time was ever quarantined for its amount: hardly ever, and asked with every report.
SELECT 1
FROM quarantined_amounts
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
LIMIT 1
