-- Events that were recorded once, as `events_by_id` says, and whose row is in `events` no more. One part of them by the
-- hash of their ids, so that what is held in memory is bounded. Without what is older than the workspace keeps it.
SELECT DISTINCT event_id
FROM events_by_id
WHERE workspace = %(workspace)s
    AND event_hash %% %(slices)s = %(part)s
    AND NOT (kind IN %(person_kinds)s AND event_time < fromUnixTimestamp64Micro(%(retained_since)s, 'UTC'))
    AND event_hash NOT IN
    (
        SELECT xxHash64(event_id)
        FROM events
        WHERE workspace = %(workspace)s
            AND xxHash64(event_id) %% %(slices)s = %(part)s
    )
ORDER BY event_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
