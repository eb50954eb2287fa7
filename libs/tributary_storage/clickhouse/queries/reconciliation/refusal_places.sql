-- Where in the event log the refusals of some time are: shard, lane, entry, and which event of it.
SELECT
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index
FROM refusals
WHERE workspace = %(workspace)s
    AND accept_time >= fromUnixTimestamp64Micro(%(first)s, 'UTC')
    AND accept_time <= fromUnixTimestamp64Micro(%(last)s, 'UTC')
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
