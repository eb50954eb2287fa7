-- The events of a workspace as rows, by verdict, and those that retention deleted. FINAL: a row written again is one event.
-- The ids are counted apart from the keys: the same id under two times would be two rows. What is counted as deleted is
-- not counted as a row, whether it is gone by now or not.
WITH
    deleted AS
    (
        SELECT
            month,
            accepted_until,
            rows,
            is_deleted
        FROM deleted_rows FINAL
        WHERE workspace = %(workspace)s
            AND source_table = 'events'
    ),
    (
        SELECT groupArrayIf((month, accepted_until), NOT is_deleted)
        FROM deleted
    ) AS going
SELECT
    countIf(verdict = 'ACCEPTED') + (SELECT sum(rows['ACCEPTED']) FROM deleted),
    countIf(verdict = 'QUARANTINED') + (SELECT sum(rows['QUARANTINED']) FROM deleted),
    countIf(verdict = 'DUPLICATE'),
    count(),
    uniqExact(event_id),
    uniqExactIf(conversion_id, kind = 'conversion' AND verdict != 'QUARANTINED')
FROM events FINAL
WHERE workspace = %(workspace)s
    AND NOT (
        notEmpty(going)
        AND kind IN %(person_kinds)s
        AND arrayExists(one -> toStartOfMonth(event_time) = one.1 AND accept_time < one.2, going)
    )
