-- How many events of a month carry several identifiers: in how many parts sightings are kept of them.
SELECT count()
FROM events
PREWHERE length(identity_tokens) > 1
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND kind IN %(kinds)s
