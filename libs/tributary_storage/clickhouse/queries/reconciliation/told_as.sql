-- What became of the conversions that end paths, by the hash of their ids: whether they were taken back, and which one they
-- count as, where that is another. Those that the run has read are taken back as it read them, and of the others those that
-- are stored so, or that count as one that was. A part of `stage_entries`, which says what of it is taken.
SELECT
    xxHash64(one.conversion_id) AS number,
    max(one.is_gone OR (one.is_unread AND is_target_gone)) AS is_taken_back,
    max(one.counted_as) AS counts_as,
    max(one.newest) AS told_time
FROM
(
    SELECT
        max(is_gone AND conversion_id = target) AS is_target_gone,
        groupArray(CAST(
            (conversion_id, is_gone, is_unread, counted_as, newest),
            'Tuple(conversion_id String, is_gone UInt8, is_unread UInt8, counted_as String, newest Int64)'
        )) AS own
    FROM
    (
        SELECT
            r.conversion_id AS target,
            r.conversion_id AS conversion_id,
            1::UInt8 AS is_gone,
            0::UInt8 AS is_unread,
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
            if(counted_as = '', conversion_id, counted_as) AS target,
            conversion_id,
            toUInt8(retracted AND is_unread) AS is_gone,
            toUInt8(xxHash64(conversion_id) NOT IN
            (
                SELECT xxHash64(conversion_id)
                FROM reconciliation_conversions
                WHERE %(ends_paths)s
                    AND reconciliation_id = %(run)s
                    AND name IN %(ending_names)s
            )) AS is_unread,
            if(startsWith(merged_into, 's1:'), '', merged_into) AS counted_as,
            0 AS newest
        FROM conversions FINAL
        WHERE %(ends_paths)s
            AND workspace = %(workspace)s
            AND name IN %(ending_names)s
            AND conversion_time >= fromUnixTimestamp64Micro(%(oldest)s - %(history)s - %(margin)s, 'UTC')
            AND (retracted OR merged_into != '')
    )
    GROUP BY target
)
ARRAY JOIN own AS one
WHERE one.is_gone
    OR one.counted_as != ''
GROUP BY number
