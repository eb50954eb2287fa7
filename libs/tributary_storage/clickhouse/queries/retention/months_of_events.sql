-- The months in which a workspace has person-level events of before a moment, the oldest first. What was accepted just now
-- is left: whoever admitted it may be at it still.
SELECT toStartOfMonth(event_time) AS month
FROM events
WHERE workspace = %(workspace)s
    AND event_time < fromUnixTimestamp64Micro(%(before)s, 'UTC')
    AND kind IN %(kinds)s
    AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
GROUP BY month
ORDER BY month
