-- Whether a conversion of some days was published after the run that looked at it began, at the latest: none that the run
-- repaired and looked at again. Each span begins at one of `begins`, was looked at by a run of the time in `verified`, and
-- goes as far as the next. Without FINAL: a revision that was replaced is older than the one in its place.
SELECT count() > 0
FROM
(
    SELECT 1
    FROM conversions
    WHERE workspace = %(workspace)s
        AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        AND toUnixTimestamp64Micro(publish_time)
            > transform(roundDown(toUnixTimestamp64Micro(conversion_time), %(begins)s), %(begins)s, %(verified)s, toInt64(0))
        AND (conversion_id, revision) NOT IN
        (
            SELECT
                conversion_id,
                repair_revision
            FROM reconciliation_findings FINAL
            WHERE workspace = %(workspace)s
                AND state = 'RESOLVED'
                AND repair_revision > 0
        )
    LIMIT 1
)
SETTINGS max_threads = 2
