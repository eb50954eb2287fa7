-- Notes which conversions a run compared beside those of its days, and which of these it left to the next run.
INSERT INTO reconciled_conversions
(
    workspace,
    conversion_id,
    conversion_time,
    run_time,
    is_compared
)
SELECT
    %(workspace)s,
    conversion_id,
    fromUnixTimestamp64Micro(time, 'UTC'),
    fromUnixTimestamp64Micro(%(create)s, 'UTC'),
    is_settled
FROM
(
    /*looked_at*/
)
WHERE is_settled != is_of_days
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1
