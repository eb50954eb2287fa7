-- What the newest run said of one conversion that said of it what its days do not tell: when that was asked for, and
-- whether it compared it, or left it to the next run.
SELECT
    toUnixTimestamp64Micro(run_time),
    is_compared
FROM reconciled_conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
