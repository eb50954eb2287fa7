-- The refused events of a workspace as rows. FINAL: a row written again is one refusal.
SELECT
    countIf(verdict = 'CONFLICT'),
    countIf(verdict = 'REJECTED')
FROM refusals FINAL
WHERE workspace = %(workspace)s
