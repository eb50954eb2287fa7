-- Whether a conversion of some days has another credit than when a run compared that at last: it was published since, by
-- none that repaired it and compared it again, and who shares it, or how, is not what it was then. Later runs could not
-- tell, where touches of its window are deleted for their age. Each span begins at one of `begins`, and the credit of it was
-- compared by a run of the time in `credits`; of single conversions a newer run may have said more.
-- `conversions` without FINAL: a revision that was replaced is older than the one in its place. The ledger with it: one that
-- was written again replaces what it was. Not that of data_driven, as no run does.
WITH
    published AS
    (
        SELECT
            conversion_id,
            max(revision) AS newest,
            transform(
                roundDown(toUnixTimestamp64Micro(max(conversion_time)), %(begins)s), %(begins)s, %(credits)s, toInt64(0)
            ) AS of_days
        FROM conversions
        WHERE workspace = %(workspace)s
            AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            AND toUnixTimestamp64Micro(publish_time) > transform(
                roundDown(toUnixTimestamp64Micro(conversion_time), %(begins)s), %(begins)s, %(credits)s, toInt64(0)
            )
        GROUP BY conversion_id
    ),
    moved AS
    (
        SELECT
            p.conversion_id AS conversion_id,
            greatest(p.of_days, l.credit) AS verified
        FROM published AS p
        LEFT JOIN
        (
            SELECT
                conversion_id,
                toUnixTimestamp64Micro(credit_run_time) - %(grace)s AS credit
            FROM reconciled_conversions FINAL
            WHERE workspace = %(workspace)s
                AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        ) AS l ON l.conversion_id = p.conversion_id
        LEFT JOIN
        (
            SELECT
                f.conversion_id AS conversion_id,
                f.repair_revision AS revision,
                max(toUnixTimestamp64Micro(r.create_time)) - %(grace)s AS repaired
            FROM
            (
                SELECT
                    conversion_id,
                    repair_revision,
                    reconciliation_id
                FROM reconciliation_findings FINAL
                WHERE workspace = %(workspace)s
                    AND state = 'RESOLVED'
                    AND repair_revision > 0
            ) AS f
            INNER JOIN
            (
                SELECT
                    reconciliation_id,
                    create_time
                FROM reconciliations FINAL
                WHERE workspace = %(workspace)s
            ) AS r ON r.reconciliation_id = f.reconciliation_id
            GROUP BY
                conversion_id,
                revision
        ) AS f ON f.conversion_id = p.conversion_id AND f.revision = p.newest
        WHERE p.newest > greatest(p.of_days, l.credit)
            AND NOT (f.revision != 0 AND f.repaired <= greatest(p.of_days, l.credit))
    )
SELECT count() > 0
FROM
(
    SELECT
        argMax(r.credit, r.revision) AS now,
        argMaxIf(r.credit, r.revision, r.revision <= m.verified) AS before
    FROM
    (
        SELECT
            conversion_id,
            revision,
            (
                touch_event_ids,
                first_touch_credit_micros,
                last_touch_credit_micros,
                last_non_direct_credit_micros,
                linear_credit_micros,
                position_based_credit_micros,
                time_decay_credit_micros
            ) AS credit
        FROM conversion_revisions FINAL
        PREWHERE conversion_id IN (SELECT conversion_id FROM moved)
        WHERE workspace = %(workspace)s
    ) AS r
    INNER JOIN moved AS m ON m.conversion_id = r.conversion_id
    GROUP BY r.conversion_id
    HAVING notEmpty(now.1) AND now != before
    LIMIT 1
)
SETTINGS max_threads = 2
