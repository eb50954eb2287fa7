-- What was counted, and may not be deleted yet: a run that stopped in between.
SELECT
    source_table,
    month,
    toUnixTimestamp64Micro(accepted_until),
    rows
FROM deleted_rows FINAL
WHERE workspace = %(workspace)s
    AND NOT is_deleted
ORDER BY
    source_table,
    month
