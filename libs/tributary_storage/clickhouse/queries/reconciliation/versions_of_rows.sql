-- Every version that `conversions` still has of the rows of some conversions, replaced ones and tombstones too.
SELECT DISTINCT
    conversion_id,
    toUnixTimestamp64Micro(conversion_time) AS time,
    revision,
    is_deleted,
    toUnixTimestamp64Micro(publish_time) AS publish_micros
FROM conversions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
