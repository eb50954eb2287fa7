-- How many events of a month name anybody: in how many parts sightings are kept of them.
SELECT count()
FROM events
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND kind IN %(kinds)s
    AND notEmpty(identity_tokens)
