-- What was sent of some conversions, oldest revision first: per destination and revision what was written last. That is the
-- newest attempt, and not always the one of the highest number: what was given up and is tried anew is counted from 1
-- again. As of a moment: of the attempts that were made by then.
SELECT * EXCEPT (workspace, attempt_time, record_time)
FROM delivery_lines
WHERE workspace = %(workspace)s
    AND conversion_id IN (%(conversion_ids)s)
    AND revision > %(after)s
    AND revision <= %(last)s
    AND attempt_time <= fromUnixTimestamp64Micro(%(moment)s, 'UTC')
ORDER BY
    conversion_id,
    revision,
    destination_id,
    record_time DESC,
    attempt DESC
LIMIT 1 BY
    conversion_id,
    revision,
    destination_id
