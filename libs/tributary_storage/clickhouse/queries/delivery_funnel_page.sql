-- A page of the delivery funnel of a workspace, by day and destination; its columns are those of the view.
SELECT
    day,
    destination_id,
    captured,
    waiting,
    without_consent,
    consented,
    ineligible,
    ineligible_reasons,
    eligible,
    sent,
    accepted,
    rejected,
    rejected_reasons,
    retrying,
    withdrawn,
    withdrawn_reasons,
    adjusted,
    not_correctable,
    reported_taken,
    reported_rejected,
    reported_unclear,
    unreported,
    unsent,
    unsent_reasons,
    reported_rejected_reasons,
    reported_unclear_reasons
FROM bi_delivery_funnel
WHERE workspace = %(workspace)s
    AND (%(destination_id)s = '' OR destination_id = %(destination_id)s)
    AND day >= toDate(fromUnixTimestamp64Micro(%(start_micros)s, 'UTC'))
    AND day <= toDate(fromUnixTimestamp64Micro(%(end_micros)s - 1, 'UTC'))
    AND (toString(day), destination_id) > (%(after_day)s, %(after_destination)s)
ORDER BY
    day,
    destination_id
LIMIT %(size)s
