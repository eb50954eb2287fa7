-- Of each workspace of which retention has run: since when it has person-level events, and when the last run came to its
-- end.
SELECT
    workspace,
    toUnixTimestamp64Micro(max(retained_since)),
    toUnixTimestamp64Micro(max(finish_time))
FROM retentions
GROUP BY workspace
