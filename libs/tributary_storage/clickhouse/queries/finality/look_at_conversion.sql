-- What the newest run said of one conversion that said of it what its days do not tell: when that was asked for, whether it
-- compared it, or left it to the next run, and when the newest such run was asked for that compared its credit, too.
SELECT
    toUnixTimestamp64Micro(run_time),
    is_compared,
    toUnixTimestamp64Micro(credit_run_time)
FROM reconciled_conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
