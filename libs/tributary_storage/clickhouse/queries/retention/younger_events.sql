-- How many person-level events of a month are left, because they were accepted just now.
SELECT count()
FROM events
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND kind IN %(kinds)s
