-- When the last run was asked for that came to its end and looked at what its days may have changed; 0: there was none.
SELECT toUnixTimestamp64Micro(max(create_time))
FROM reconciliations FINAL
WHERE workspace = %(workspace)s
    AND state = 'COMPLETE'
    AND with_changes
    AND (repairs OR NOT %(repairs)s)
