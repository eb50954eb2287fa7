-- What a destination took with one request and has not reported on yet. A revision is published before it is sent, and a
-- destination takes none older than a few months, which bounds what is read.
SELECT * EXCEPT (workspace, attempt_time, record_time)
FROM delivery_lines
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
