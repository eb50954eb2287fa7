-- One page of deliveries, last attempted first: per destination, conversion and revision what was written last, as in
-- deliveries_of_conversions. Attempts after the end count too: what has succeeded since is not listed as pending.
SELECT * EXCEPT (workspace, attempt_time, record_time)
FROM
(
    SELECT *
    FROM delivery_lines
    WHERE workspace = %(workspace)s
        AND attempt_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
        AND (%(any_destination)s OR destination_id = %(destination_id)s)
        AND (%(any_conversion)s OR conversion_id IN %(conversion_ids)s)
    ORDER BY
        destination_id,
        conversion_id,
        revision,
        record_time DESC,
        attempt DESC
    LIMIT 1 BY
        destination_id,
        conversion_id,
        revision
)
WHERE attempt_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND (%(any_state)s OR state IN %(states)s)
    AND (%(any_outcome)s OR outcome IN %(outcomes)s)
    AND (%(any_reason)s OR ineligible_reason IN %(reasons)s)
    AND (
        toUnixTimestamp64Micro(attempt_time),
        destination_id,
        conversion_id,
        revision
    ) < (%(at)s, %(at_destination)s, %(at_conversion)s, %(at_revision)s)
ORDER BY
    attempt_time DESC,
    destination_id DESC,
    conversion_id DESC,
    revision DESC
LIMIT %(limit)s
