-- Attempts per destination, how many of them were taken, and how many conversions could not leave; tests aside.
SELECT
    destination_id,
    countIf(NOT unsent),
    countIf(outcome = 'OK' AND NOT unsent),
    uniqExactIf(conversion_id, unsent)
FROM deliveries FINAL
WHERE workspace = %(workspace)s
    AND attempt_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
    AND (attempt > 0 OR unsent)
    AND operation != 'TEST'
GROUP BY destination_id
ORDER BY destination_id
