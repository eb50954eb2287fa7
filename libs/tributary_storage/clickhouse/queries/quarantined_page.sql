-- One page of quarantined events, newest first, by the key of the table in reverse. FINAL: a row written again is one
-- event. Without what an erasure stripped: nothing can be decided about it.
SELECT
    toUnixTimestamp64Micro(event_time) AS event_micros,
    event_id,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    conversion_id,
    api_key_id,
    payload_digest,
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND verdict = 'QUARANTINED'
    AND admitted != ''
    AND event_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND (%(any_id)s OR event_id IN %(event_ids)s)
    AND (%(any_reason)s OR hasAny(reason_codes, %(reason_codes)s))
    AND (%(any_name)s OR conversion_name IN %(conversion_names)s)
    AND (
        %(any_state)s
        OR %(rejected)s = (event_id IN
        (
            SELECT event_id
            FROM quarantine_decisions
            WHERE workspace = %(workspace)s
        ))
    )
    AND (event_time, event_id) < (fromUnixTimestamp64Micro(%(at)s, 'UTC'), %(after_id)s)
ORDER BY
    event_time DESC,
    event_id DESC
LIMIT %(limit)s
