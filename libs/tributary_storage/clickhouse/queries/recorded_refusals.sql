-- The refusals of event ids, newest first, at most 10 of each. The bloom filter on event_id finds few ids fast.
SELECT
    event_id,
    verdict,
    toUnixTimestamp64Micro(accept_time) AS refuse_micros,
    reason_codes,
    reason_fields,
    reason_messages
FROM refusals FINAL
WHERE workspace = %(workspace)s
    AND event_id IN %(event_ids)s
ORDER BY accept_time DESC
LIMIT 10 BY event_id
