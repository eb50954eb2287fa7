-- One page of the identifiers that anybody was ever seen by, after the last one that was read.
SELECT DISTINCT identity_token
FROM events_by_identifier
WHERE workspace = %(workspace)s
    AND identity_token > %(event_id)s
ORDER BY identity_token
LIMIT %(limit)s
SETTINGS max_threads = 1
