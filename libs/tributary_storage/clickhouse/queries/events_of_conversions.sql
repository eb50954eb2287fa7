-- The events that observed or adjusted conversions, each once, as they are stored. What waits in quarantine says nothing
-- about a conversion, but what adjusted it may name an observation that does. The bloom filter on conversion_id finds
-- them without their times.
SELECT
    toUnixTimestamp64Micro(accept_time),
    admitted,
    verdict = 'QUARANTINED' AS is_quarantined
FROM events
WHERE workspace = %(workspace)s
    AND conversion_id IN (%(conversion_ids)s)
    AND kind IN ('conversion', 'adjustment')
    AND (kind = 'conversion' OR verdict != 'QUARANTINED')
ORDER BY
    event_time,
    event_id,
    is_quarantined
LIMIT 1 BY event_id
