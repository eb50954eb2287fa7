-- What the pages of a month add, as far as one of them.
SELECT
    field,
    sum(changed) AS count
FROM ended_paths_pages FINAL
ARRAY JOIN
    mapKeys(counts) AS field,
    mapValues(counts) AS changed
WHERE workspace = %(workspace)s
    AND month = %(month)s
    AND accepted_until = fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
    AND seen_time = fromUnixTimestamp64Micro(%(seen)s, 'UTC')
    AND page <= %(page)s
GROUP BY field
HAVING count != 0
ORDER BY field
