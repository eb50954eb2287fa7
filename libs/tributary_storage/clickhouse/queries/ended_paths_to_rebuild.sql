-- What data_driven learned of people whose events are deleted since, added up.
SELECT
    field,
    sum(changed) AS count
FROM ended_paths FINAL
ARRAY JOIN
    mapKeys(counts) AS field,
    mapValues(counts) AS changed
WHERE workspace = %(workspace)s
    AND (month, accepted_until) IN
    (
        SELECT
            month,
            accepted_until
        FROM deleted_rows
        WHERE workspace = %(workspace)s
            AND source_table = 'events'
    )
GROUP BY field
HAVING count != 0
ORDER BY field
