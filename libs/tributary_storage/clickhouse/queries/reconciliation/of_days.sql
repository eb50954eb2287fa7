-- Conversions of the days of a run, and where it compares what changed those that were published in these days, each with
-- its newest revision. Left out: what was published so lately that its row may be on its way, and what an erasure severed.
SELECT
    conversion_id,
    revision
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND (
        (
            conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        OR (
            %(with_changes)s
            AND publish_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND publish_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
    )
    AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND NOT startsWith(conversion_id, 's1:')
