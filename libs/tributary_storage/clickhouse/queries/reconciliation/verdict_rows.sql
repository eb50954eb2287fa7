-- The events of a workspace as rows, by verdict: the other side of what the claim scripts counted. FINAL: a row written
-- again is one event. Read in the order of the tables, so that it takes no memory.
SELECT
    e.accepted,
    e.quarantined,
    e.merged,
    r.conflicts,
    r.rejected
FROM
(
    SELECT
        countIf(verdict = 'ACCEPTED') AS accepted,
        countIf(verdict = 'QUARANTINED') AS quarantined,
        countIf(verdict = 'DUPLICATE') AS merged
    FROM events FINAL
    WHERE workspace = %(workspace)s
) AS e
CROSS JOIN
(
    SELECT
        countIf(verdict = 'CONFLICT') AS conflicts,
        countIf(verdict = 'REJECTED') AS rejected
    FROM refusals FINAL
    WHERE workspace = %(workspace)s
) AS r
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
