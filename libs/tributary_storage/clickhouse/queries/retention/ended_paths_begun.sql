-- The months of a workspace whose paths are kept, or being kept, and whose events may be there still: until which moment of
-- acceptance, and whether all of them are kept.
SELECT
    month,
    toUnixTimestamp64Micro(max(accepted_until)),
    max(is_kept)
FROM
(
    SELECT
        month,
        accepted_until,
        true AS is_kept
    FROM ended_paths
    WHERE workspace = %(workspace)s
    UNION ALL
    SELECT
        month,
        accepted_until,
        false
    FROM ended_paths_pages
    WHERE workspace = %(workspace)s
)
WHERE (month, accepted_until) NOT IN
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
