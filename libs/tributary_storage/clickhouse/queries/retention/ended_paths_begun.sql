-- The months of a workspace whose paths are kept, and whose events may be there still: until which moment of acceptance.
SELECT
    month,
    toUnixTimestamp64Micro(max(accepted_until))
FROM ended_paths
WHERE workspace = %(workspace)s
    AND (month, accepted_until) NOT IN
    (
        SELECT
            month,
            accepted_until
        FROM deleted_rows
        WHERE workspace = %(workspace)s
            AND source_table = 'events'
    )
GROUP BY month
ORDER BY month
