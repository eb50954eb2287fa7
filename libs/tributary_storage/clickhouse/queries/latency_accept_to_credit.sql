-- From the accept of the event that caused a revision to its row, microseconds.
SELECT
    count(),
    quantilesTDigest(0.5, 0.95, 0.99)(greatest(0, dateDiff('microsecond', cause_accept_time, record_time)))
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND record_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
    AND cause_accept_time > toDateTime64(0, 6, 'UTC')
