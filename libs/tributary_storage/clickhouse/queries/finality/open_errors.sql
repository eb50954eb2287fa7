-- Whether something that breaks a promise is found and not resolved about conversions of some days, about some that are
-- not stored, or about no conversion at all.
SELECT count() > 0
FROM
(
    SELECT arrayJoin(splitByChar(',', conversion_id)) AS named
    FROM reconciliation_findings FINAL
    WHERE workspace = %(workspace)s
        AND state != 'RESOLVED'
        AND severity = 'ERROR'
) AS f
LEFT JOIN
(
    SELECT
        conversion_id,
        conversion_time
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN
        (
            SELECT arrayJoin(splitByChar(',', conversion_id))
            FROM reconciliation_findings FINAL
            WHERE workspace = %(workspace)s
                AND state != 'RESOLVED'
                AND severity = 'ERROR'
        )
) AS c ON c.conversion_id = f.named
WHERE c.conversion_id = ''
    OR (
        c.conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND c.conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    )
