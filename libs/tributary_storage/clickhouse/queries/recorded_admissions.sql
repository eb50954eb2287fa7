-- Events as they are recorded, by their ids: what is needed to bring them to the event log once more. FINAL: an event that
-- was released is one row, the newer. What an erasure stripped is nothing to bring back.
SELECT
    event_id,
    verdict,
    kind,
    toUnixTimestamp64Micro(event_time) AS event_micros,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    conversion_id,
    api_key_id,
    backfill,
    traceparent,
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND admitted != ''
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events_by_id
        WHERE workspace = %(workspace)s
            AND event_hash IN %(hashes)s
            AND event_id IN %(event_ids)s
    )
ORDER BY accept_time
