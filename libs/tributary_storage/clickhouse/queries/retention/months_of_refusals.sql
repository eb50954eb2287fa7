-- The months in which a workspace was sent what was refused, before a moment, the oldest first.
SELECT toStartOfMonth(accept_time) AS month
FROM refusals
WHERE workspace = %(workspace)s
    AND accept_time < fromUnixTimestamp64Micro(%(before)s, 'UTC')
GROUP BY month
ORDER BY month
