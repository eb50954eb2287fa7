-- How many person-level events of a month there are, by verdict. FINAL: a row written again is one event.
SELECT
    verdict,
    count()
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND kind IN %(kinds)s
    AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
GROUP BY verdict
