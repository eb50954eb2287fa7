-- Conversions of the days of a run (`of_days`) of which a revision that was published has no row: one that another names
-- as the one before it, or the newest, which `conversions` has and `conversion_revisions` lacks. Chains are also looked at of
-- what has no row in `conversions`, for that may be lost, too; not of somebody who is being erased. One row per conversion,
-- its first such place: the revision that is there, the one that it names, and the newest before it that is there.
WITH
    of_days AS
    (
/*of_days*/
    )
SELECT
    conversion_id,
    argMin(place, place.1) AS first_place
FROM
(
    SELECT
        conversion_id,
        (revision, previous_revision, before) AS place
    FROM
    (
        SELECT
            conversion_id,
            revision,
            previous_revision,
            publish_time,
            lagInFrame(revision) OVER
            (
                PARTITION BY conversion_id
                ORDER BY revision
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS before
        FROM conversion_revisions FINAL
        WHERE workspace = %(workspace)s
            AND conversion_id GLOBAL IN
            (
                SELECT conversion_id
                FROM of_days
                UNION ALL
                SELECT conversion_id
                FROM conversion_revisions
                WHERE workspace = %(workspace)s
                    AND /*in_days*/
                    AND NOT startsWith(conversion_id, 's1:')
                    AND person_id GLOBAL NOT IN
                    (
                        SELECT arrayJoin(person_keys)
                        FROM erasures FINAL
                        WHERE workspace = %(workspace)s
                            AND state != 'finished'
                    )
            )
    )
    WHERE before != previous_revision
        AND publish_time <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    UNION ALL
    SELECT
        conversion_id,
        (revision, revision, 0::UInt64) AS place
    FROM of_days
    WHERE (conversion_id, revision) GLOBAL NOT IN
    (
        SELECT
            conversion_id,
            revision
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND conversion_id GLOBAL IN (SELECT conversion_id FROM of_days)
    )
)
GROUP BY conversion_id
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
