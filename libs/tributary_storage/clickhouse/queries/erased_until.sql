-- Per person key of somebody who was erased, until when what happened is gone.
SELECT
    key,
    max(toUnixTimestamp64Micro(until_time))
FROM erasures
ARRAY JOIN person_keys AS key
WHERE workspace = %(workspace)s
    AND key IN %(keys)s
GROUP BY key
