-- Which of some events have a row in `events`, by the hashes of their ids, and when they were accepted. Without their times all of the workspace's
-- events of some days are looked through: asked for a few only.
SELECT
    xxHash64(event_id) AS event_hash,
    toUnixTimestamp64Micro(max(accept_time)) AS accept_micros
FROM events
WHERE workspace = %(workspace)s
    AND xxHash64(event_id) IN %(hashes)s
GROUP BY event_hash
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
