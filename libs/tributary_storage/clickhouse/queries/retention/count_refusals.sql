-- How many events were refused in a month, by verdict. FINAL: a row written again is one refusal.
SELECT
    verdict,
    count()
FROM refusals FINAL
WHERE workspace = %(workspace)s
    AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
GROUP BY verdict
