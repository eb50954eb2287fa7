-- Severed conversions of a part of the days of a run of which a revision changed value or count by another amount than lies
-- between it and the one before: they have no message to tell. One row each: its first such revision.
SELECT
    conversion_id,
    min(revision)
FROM
(
    SELECT
        conversion_id,
        revision,
        previous_revision,
        publish_time,
        if(counted, value_micros, 0) AS value,
        toInt64(counted) AS count,
        value_delta_micros,
        counted_delta,
        lagInFrame(revision) OVER of_one AS before,
        lagInFrame(if(counted, value_micros, 0)) OVER of_one AS value_before,
        lagInFrame(toInt64(counted)) OVER of_one AS count_before
    FROM conversion_revisions FINAL
    PREWHERE conversion_id GLOBAL IN (/*published_in_days*/)
    WHERE workspace = %(workspace)s
        AND startsWith(conversion_id, 's1:')
    WINDOW of_one AS (PARTITION BY conversion_id ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE before = previous_revision
    AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND (value - value_before != value_delta_micros OR count - count_before != counted_delta)
GROUP BY conversion_id
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
