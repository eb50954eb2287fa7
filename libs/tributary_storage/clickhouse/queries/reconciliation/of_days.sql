-- Conversions of the days of a run, and where it compares what changed those that were published in these days, each with
-- its newest revision. Left out: what was published so lately that its row may be on its way, and what an erasure severed.
SELECT
    conversion_id,
    revision
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND /*in_days*/
    AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND NOT startsWith(conversion_id, 's1:')
