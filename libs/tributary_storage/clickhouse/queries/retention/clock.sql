-- What time it is for ClickHouse.
SELECT toUnixTimestamp64Micro(now64(6, 'UTC'))
