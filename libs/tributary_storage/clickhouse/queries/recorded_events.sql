-- What was recorded of event ids, and of ids of which only the hash is known, first acceptance first: an id that was
-- recorded twice is told by its first row, but one that was released from quarantine by what it is since.
SELECT
    event_id,
    kind,
    verdict,
    toUnixTimestamp64Micro(event_time) AS event_micros,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    reason_codes,
    conversion_id,
    traffic,
    adjustment_reason,
    adjustment_id,
    payload_digest
FROM events_by_id
WHERE workspace = %(workspace)s
    AND event_hash IN %(hashes)s
    AND (
        event_id IN %(event_ids)s
        OR event_hash IN %(sent_hashes)s
    )
ORDER BY
    verdict = 'QUARANTINED',
    accept_time
