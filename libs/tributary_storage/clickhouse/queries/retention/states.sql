-- Of each workspace of which retention has run: since when it has person-level events, when the last run came to its end,
-- and since when it is told what will be deleted.
SELECT
    workspace,
    toUnixTimestamp64Micro(max(retained_since)),
    toUnixTimestamp64Micro(max(finish_time)),
    toUnixTimestamp64Micro(argMax(announce_time, version))
FROM retentions
GROUP BY workspace
