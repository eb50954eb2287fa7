-- Which of some events have a row in `events`, by the hashes of their ids. Without their times all of the workspace's
-- events of some days are looked through: asked for a few only.
SELECT DISTINCT xxHash64(event_id) AS event_hash
FROM events
WHERE workspace = %(workspace)s
    AND xxHash64(event_id) IN %(hashes)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
