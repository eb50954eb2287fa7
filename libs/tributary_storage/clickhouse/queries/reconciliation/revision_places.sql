-- Which revisions of several conversions have a row, oldest first, and the newest that `conversions` has of each.
SELECT
    r.conversion_id,
    r.revisions,
    c.newest
FROM
(
    SELECT
        conversion_id,
        arraySort(groupUniqArray((revision, previous_revision))) AS revisions
    FROM conversion_revisions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
    GROUP BY conversion_id
) AS r
LEFT JOIN
(
    SELECT
        conversion_id,
        max(revision) AS newest
    FROM conversions
    WHERE workspace = %(workspace)s
        AND NOT is_deleted
        AND conversion_id IN %(conversions)s
    GROUP BY conversion_id
) AS c ON c.conversion_id = r.conversion_id
