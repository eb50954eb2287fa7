SELECT
    xxHash64(conversion_id) AS number,
    max(is_gone) AS is_taken_back,
    max(counted_as) AS counts_as,
    max(newest) AS told_time
FROM
(
    SELECT
        r.conversion_id AS conversion_id,
        1::UInt8 AS is_gone,
        '' AS counted_as,
        greatest(r.accept_time, f.accept_time) AS newest
    FROM
    (
        SELECT
            conversion_id,
            retracted,
            accept_time
        FROM reconciliation_conversions FINAL
        WHERE %(ends_paths)s
            AND reconciliation_id = %(run)s
            AND name IN %(ending_names)s
    ) AS r
    LEFT JOIN
    (
        SELECT
            conversion_id,
            is_lost,
            is_void,
            accept_time
        FROM reconciliation_families FINAL
        WHERE %(ends_paths)s
            AND reconciliation_id = %(run)s
            AND is_settled
    ) AS f ON f.conversion_id = r.conversion_id
    WHERE r.retracted
        OR f.is_lost
        OR f.is_void
    UNION ALL
    SELECT
        conversion_id,
        toUInt8(
            retracted AND xxHash64(conversion_id) NOT IN
            (
                SELECT xxHash64(conversion_id)
                FROM reconciliation_conversions
                WHERE %(ends_paths)s
                    AND reconciliation_id = %(run)s
                    AND name IN %(ending_names)s
            )
        ) AS is_gone,
        if(startsWith(merged_into, 's1:'), '', merged_into) AS counted_as,
        0 AS newest
    FROM conversions FINAL
    WHERE %(ends_paths)s
        AND workspace = %(workspace)s
        AND name IN %(ending_names)s
        AND conversion_time >= fromUnixTimestamp64Micro(%(oldest)s - %(history)s - %(margin)s, 'UTC')
        AND (retracted OR merged_into != '')
)
WHERE is_gone
    OR counted_as != ''
GROUP BY number
