-- End to end: from the acceptance of the event that caused a revision to the attempt that a destination took,
-- microseconds.
SELECT
    count(),
    quantilesTDigest(0.5, 0.95, 0.99)(greatest(0, dateDiff('microsecond', cause_accept_time, attempt_time)))
FROM
(
    SELECT
        conversion_id,
        revision,
        attempt_time
    FROM deliveries FINAL
    WHERE workspace = %(workspace)s
        AND attempt_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
        AND outcome = 'OK'
        AND operation != 'TEST'
) AS sent
INNER JOIN
(
    SELECT
        conversion_id,
        revision,
        cause_accept_time
    FROM conversion_revisions
    WHERE workspace = %(workspace)s
        AND publish_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
        AND cause_accept_time > toDateTime64(0, 6, 'UTC')
    LIMIT 1 BY conversion_id, revision
) AS published USING (conversion_id, revision)
