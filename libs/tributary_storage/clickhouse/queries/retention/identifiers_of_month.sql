-- One page of the identifiers that anybody was seen by in a month, after the last one that was read.
SELECT DISTINCT identity_token
FROM events_by_identifier
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND identity_token > %(after)s
ORDER BY identity_token
LIMIT %(limit)s
SETTINGS max_threads = 1
