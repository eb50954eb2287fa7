-- One page of deliveries, last attempted first: per destination, conversion and revision what was written last, as in
-- deliveries_of_conversion. Attempts after the end count too: what has succeeded since is not listed as pending.
SELECT
    destination_id,
    conversion_id,
    revision,
    attempt,
    operation,
    state,
    outcome,
    status_code,
    ineligible_reason,
    message,
    visible_id,
    destination_request_id,
    click_id_family,
    click_id,
    identifier_digests,
    toUnixTimestamp64Micro(sent_conversion_time),
    consent_basis,
    currency,
    value_micros,
    residual_micros,
    toUnixTimestamp64Micro(plan_time),
    toUnixTimestamp64Micro(attempt_time),
    toUnixTimestamp64Micro(due_time),
    report,
    report_reason,
    toUnixTimestamp64Micro(report_time)
FROM
(
    SELECT *
    FROM deliveries FINAL
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
