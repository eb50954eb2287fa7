-- How many conversions a request held, as a report on it that was stored already says; 0: none was.
SELECT max(conversions)
FROM destination_reports
WHERE workspace = %(workspace)s
    AND destination_id = %(destination_id)s
    AND accept_time = fromUnixTimestamp64Micro(%(accept_micros)s, 'UTC')
    AND request_id = %(request_id)s
