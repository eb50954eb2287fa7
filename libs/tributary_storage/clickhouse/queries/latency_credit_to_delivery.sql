-- From the publication of a revision, which is its number, to the attempt that the destination took, microseconds.
SELECT
    count(),
    quantilesTDigest(0.5, 0.95, 0.99)(greatest(0, toUnixTimestamp64Micro(attempt_time) - toInt64(revision)))
FROM deliveries FINAL
WHERE workspace = %(workspace)s
    AND attempt_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
    AND outcome = 'OK'
    AND operation != 'TEST'
