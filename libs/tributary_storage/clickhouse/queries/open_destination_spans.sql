-- Since when a workspace declares destinations: every span that has no end.
SELECT
    destination_id,
    toUnixTimestamp64Micro(start_time)
FROM destination_spans FINAL
WHERE workspace = %(workspace)s AND isNull(end_time)
