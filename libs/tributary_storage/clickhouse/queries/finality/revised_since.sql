-- Whether a conversion of some days was published after the run that looked at it began, at the latest, and by none that
-- repaired it and looked at it again; or was left to the next run by the newest that came to it. Each span begins at one of
-- `begins`, was looked at by a run of the time in `verified`, and goes as far as the next; of single conversions a newer run
-- may have said more. Without FINAL: a revision that was replaced is older than the one in its place.
SELECT count() > 0
FROM
(
    SELECT 1
    FROM
    (
        SELECT
            conversion_id,
            revision,
            toUnixTimestamp64Micro(publish_time) AS published,
            transform(roundDown(toUnixTimestamp64Micro(conversion_time), %(begins)s), %(begins)s, %(verified)s, toInt64(0)) AS of_days
        FROM conversions
        WHERE workspace = %(workspace)s
            AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            AND (
                published > of_days
                OR conversion_id IN
                (
                    SELECT conversion_id
                    FROM reconciled_conversions
                    WHERE workspace = %(workspace)s
                        AND NOT is_compared
                )
            )
    ) AS c
    LEFT JOIN
    (
        SELECT
            conversion_id,
            toUnixTimestamp64Micro(run_time) - %(grace)s AS verified,
            is_compared
        FROM reconciled_conversions FINAL
        WHERE workspace = %(workspace)s
            AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    ) AS l ON l.conversion_id = c.conversion_id
    WHERE (l.conversion_id != '' AND NOT l.is_compared AND l.verified >= c.of_days)
        OR (
            c.published > if(l.is_compared, greatest(l.verified, c.of_days), c.of_days)
            AND (c.conversion_id, c.revision) NOT IN
            (
                SELECT
                    conversion_id,
                    repair_revision
                FROM reconciliation_findings FINAL
                WHERE workspace = %(workspace)s
                    AND state = 'RESOLVED'
                    AND repair_revision > 0
            )
        )
    LIMIT 1
)
SETTINGS max_threads = 2
