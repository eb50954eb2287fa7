-- Conversions that are stored and that no recorded event observed, of some days: what nobody can account for. A backlog
-- of the recorder is none: what was published after the run read the events is left out. Nor is what an erasure severed
-- from its events: it is frozen.
SELECT
    conversion_id,
    name,
    order_id,
    toUnixTimestamp64Micro(conversion_time) AS time,
    currency,
    value_micros,
    revision
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND NOT startsWith(conversion_id, 's1:')
    AND conversion_id NOT IN
    (
        SELECT conversion_id
        FROM reconciliation_conversions
        WHERE reconciliation_id = %(run)s
    )
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
