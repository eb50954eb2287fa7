-- Those of some conversions that happened after a moment as they are published: told again since they were destroyed.
SELECT DISTINCT conversion_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND conversion_time > fromUnixTimestamp64Micro(%(until)s, 'UTC')
