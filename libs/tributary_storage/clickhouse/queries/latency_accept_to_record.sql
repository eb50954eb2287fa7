-- From accept, by the log's clock, to the row in `events`, by ClickHouse's, microseconds. An event written twice counts
-- twice: both were measured.
SELECT
    count(),
    quantilesTDigest(0.5, 0.95, 0.99)(greatest(0, dateDiff('microsecond', accept_time, record_time)))
FROM events
WHERE workspace = %(workspace)s
    AND record_time >= now64(6, 'UTC') - INTERVAL %(window_seconds)s SECOND
