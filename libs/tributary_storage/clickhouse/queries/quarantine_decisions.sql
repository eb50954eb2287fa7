-- What was decided about events in quarantine, oldest first. FINAL: what was decided twice is one.
SELECT
    event_id,
    action,
    toUnixTimestamp64Micro(decide_time) AS decide_micros,
    decided_by,
    reason,
    toUnixTimestamp64Micro(first_accept_time) AS first_accept_micros
FROM quarantine_decisions FINAL
WHERE workspace = %(workspace)s
    AND event_id IN %(event_ids)s
ORDER BY
    decide_time,
    event_id
