-- The events of a workspace as rows, by verdict, and those that retention deleted: the other side of what the claim scripts
-- counted. FINAL: a row written again is one event. Read in the order of the tables, so that it takes no memory. What is
-- counted as deleted is not counted as a row, whether it is gone by now or not.
WITH
    deleted AS
    (
        SELECT
            source_table,
            month,
            accepted_until,
            rows,
            is_deleted
        FROM deleted_rows FINAL
        WHERE workspace = %(workspace)s
    ),
    (
        SELECT groupArrayIf((month, accepted_until), source_table = 'events' AND NOT is_deleted)
        FROM deleted
    ) AS going_events,
    (
        SELECT groupArrayIf(month, source_table = 'refusals' AND NOT is_deleted)
        FROM deleted
    ) AS going_refusals
SELECT
    e.accepted + d.accepted,
    e.quarantined + d.quarantined,
    e.merged,
    r.conflicts + d.conflicts,
    r.rejected + d.rejected
FROM
(
    SELECT
        countIf(verdict = 'ACCEPTED') AS accepted,
        countIf(verdict = 'QUARANTINED') AS quarantined,
        countIf(verdict = 'DUPLICATE') AS merged
    FROM events FINAL
    WHERE workspace = %(workspace)s
        AND NOT (
            notEmpty(going_events)
            AND kind IN %(person_kinds)s
            AND arrayExists(one -> toStartOfMonth(event_time) = one.1 AND accept_time < one.2, going_events)
        )
) AS e
CROSS JOIN
(
    SELECT
        countIf(verdict = 'CONFLICT') AS conflicts,
        countIf(verdict = 'REJECTED') AS rejected
    FROM refusals FINAL
    WHERE workspace = %(workspace)s
        AND NOT has(going_refusals, toStartOfMonth(accept_time))
) AS r
CROSS JOIN
(
    SELECT
        sum(rows['ACCEPTED']) AS accepted,
        sum(rows['QUARANTINED']) AS quarantined,
        sum(rows['CONFLICT']) AS conflicts,
        sum(rows['REJECTED']) AS rejected
    FROM deleted
) AS d
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
