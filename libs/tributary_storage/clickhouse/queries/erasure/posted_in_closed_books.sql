-- The conversions that reports of closed posting days have: any revision that counts is enough, also where a later one,
-- that day or since, takes it back.
SELECT DISTINCT conversion_id
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND /*theirs*/
    AND posting_date <= toDate32(%(closed_through)s)
    AND counted
ORDER BY conversion_id
