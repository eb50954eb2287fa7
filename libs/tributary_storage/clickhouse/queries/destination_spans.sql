-- From when to when a workspace declared destinations: every span, with no end where it declares one still.
SELECT
    destination_id,
    toUnixTimestamp64Micro(start_time),
    toUnixTimestamp64Micro(end_time)
FROM destination_spans FINAL
WHERE workspace = %(workspace)s
