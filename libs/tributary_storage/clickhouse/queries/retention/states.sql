-- Of each workspace of which retention has run: since when it has person-level events, when the last run came to its end,
-- since when it is told what will be deleted, and since when there are events then.
SELECT
    workspace,
    toUnixTimestamp64Micro(max(retained_since)),
    toUnixTimestamp64Micro(max(finish_time)),
    toUnixTimestamp64Micro(argMax(announce_time, version)),
    toUnixTimestamp64Micro(argMax(announced_retained_since, version))
FROM retentions
GROUP BY workspace
