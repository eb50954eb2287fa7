-- What was sent of one conversion, oldest first: per destination and revision what was written last. That is the newest
-- attempt, and not always the one of the highest number: what was given up and is tried anew is counted from 1 again.
-- As of a moment: of the attempts that were made by then.
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
FROM deliveries FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
    AND revision > %(after)s
    AND revision <= %(last)s
    AND attempt_time <= fromUnixTimestamp64Micro(%(moment)s, 'UTC')
ORDER BY
    revision,
    destination_id,
    record_time DESC,
    attempt DESC
LIMIT 1 BY
    revision,
    destination_id
