-- Notes which conversions a run compared beside those of its days, and which of these it left to the next run. Where it could
-- not compare the credit, that of the run before that did is kept.
INSERT INTO reconciled_conversions
(
    workspace,
    conversion_id,
    conversion_time,
    run_time,
    is_compared,
    credit_run_time
)
SELECT
    %(workspace)s,
    n.conversion_id,
    fromUnixTimestamp64Micro(n.time, 'UTC'),
    fromUnixTimestamp64Micro(%(create)s, 'UTC'),
    n.is_settled,
    if(n.is_settled AND n.is_whole, fromUnixTimestamp64Micro(%(create)s, 'UTC'), l.credit_run_time)
FROM
(
    /*looked_at*/
) AS n
LEFT JOIN
(
    SELECT
        conversion_id,
        credit_run_time
    FROM reconciled_conversions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN
        (
            SELECT conversion_id
            FROM reconciliation_conversions
            WHERE reconciliation_id = %(run)s
                AND is_compared
        )
) AS l ON l.conversion_id = n.conversion_id
WHERE n.is_settled != n.is_of_days
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1
