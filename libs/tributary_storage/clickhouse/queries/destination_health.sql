-- Attempts per destination and how many of them were taken; tests aside.
SELECT
    destination_id,
    count(),
    countIf(outcome = 'OK')
FROM deliveries FINAL
WHERE workspace = %(workspace)s
    AND attempt_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
    AND attempt > 0
    AND operation != 'TEST'
GROUP BY destination_id
ORDER BY destination_id
