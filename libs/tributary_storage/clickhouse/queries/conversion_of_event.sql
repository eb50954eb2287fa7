-- The conversion that an event observed; none, if it was an erased person's: of that nothing but a random id is left, which
-- no conversion has. The bloom filter on event_id finds it without its time.
SELECT conversion_id
FROM events
WHERE workspace = %(workspace)s
    AND event_id = %(event_id)s
    AND kind = 'conversion'
    AND NOT startsWith(conversion_id, 's1:')
LIMIT 1
