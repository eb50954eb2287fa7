-- What a destination took with one request and has not reported on yet. A revision is published before it is sent, and a
-- destination takes none older than a few months, which bounds what is read.
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
    AND destination_id = %(destination_id)s
    AND revision >= %(since)s
    AND revision <= %(accept_micros)s
    AND destination_request_id = %(request_id)s
    AND state = 'ACCEPTED'
    AND report = ''
ORDER BY
    conversion_id,
    revision,
    attempt
