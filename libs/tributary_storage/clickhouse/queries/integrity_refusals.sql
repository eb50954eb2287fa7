-- The refused events of a workspace as rows, and those that retention deleted. FINAL: a row written again is one refusal.
-- What is counted as deleted is not counted as a row, whether it is gone by now or not.
WITH
    deleted AS
    (
        SELECT
            month,
            rows,
            is_deleted
        FROM deleted_rows FINAL
        WHERE workspace = %(workspace)s
            AND source_table = 'refusals'
    )
SELECT
    countIf(verdict = 'CONFLICT') + (SELECT sum(rows['CONFLICT']) FROM deleted),
    countIf(verdict = 'REJECTED') + (SELECT sum(rows['REJECTED']) FROM deleted)
FROM refusals FINAL
WHERE workspace = %(workspace)s
    AND NOT has((SELECT groupArrayIf(month, NOT is_deleted) FROM deleted), toStartOfMonth(accept_time))
