-- One page of the counted conversions that the state store kept nothing of but what data_driven learned from them, after the
-- last one that was read: those that were accepted first before the ones that are brought back, and those of people who
-- were erased.
SELECT
    toUnixTimestamp64Micro(conversion_time) AS time,
    conversion_id,
    name,
    touch_channels
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(event_time)s, 'UTC')
    AND (conversion_time, conversion_id) > (fromUnixTimestamp64Micro(%(event_time)s, 'UTC'), %(event_id)s)
    AND first_accept_time < fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND (
        first_accept_time < fromUnixTimestamp64Micro(%(ties_since)s, 'UTC')
        OR startsWith(conversion_id, 's1:')
    )
    AND counted
ORDER BY
    conversion_time,
    conversion_id
LIMIT %(limit)s
SETTINGS max_threads = 1
