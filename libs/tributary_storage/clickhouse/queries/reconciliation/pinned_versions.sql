-- Under which settings the conversions of a run are credited, as they are stored.
SELECT DISTINCT toString(settings_version)
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(stored_begin)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(stored_end)s, 'UTC')
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM reconciliation_conversions
        WHERE reconciliation_id = %(run)s
    )
