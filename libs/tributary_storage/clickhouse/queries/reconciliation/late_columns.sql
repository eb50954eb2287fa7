-- When each of some migrations was applied, in microseconds.
SELECT
    number,
    toUnixTimestamp64Micro(apply_time)
FROM migrations FINAL
WHERE number IN %(numbers)s
