-- The events that observed or adjusted conversions, each once, as they are stored; what waits in quarantine says nothing
-- about a conversion. The bloom filter on conversion_id finds them without their times.
SELECT
    toUnixTimestamp64Micro(accept_time),
    admitted
FROM events
WHERE workspace = %(workspace)s
    AND conversion_id IN (%(conversion_ids)s)
    AND kind IN ('conversion', 'adjustment')
    AND verdict != 'QUARANTINED'
ORDER BY
    event_time,
    event_id
LIMIT 1 BY event_id
