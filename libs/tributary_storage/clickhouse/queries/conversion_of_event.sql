-- The conversion that an event observed. The bloom filter on event_id finds it without its time.
SELECT conversion_id
FROM events
WHERE workspace = %(workspace)s
    AND event_id = %(event_id)s
    AND kind = 'conversion'
LIMIT 1
