-- The events of a workspace as rows, by verdict. FINAL: a row written again is one event. The ids are counted apart
-- from the keys: the same id under two times would be two rows.
SELECT
    countIf(verdict = 'ACCEPTED'),
    countIf(verdict = 'QUARANTINED'),
    countIf(verdict = 'DUPLICATE'),
    count(),
    uniqExact(event_id),
    uniqExactIf(conversion_id, kind = 'conversion' AND verdict != 'QUARANTINED')
FROM events FINAL
WHERE workspace = %(workspace)s
