-- The random ids of those of an erasure's conversions that are still there: that were not copied yet, or are there as they
-- were copied. One that was copied, deleted and told again by somebody has none of the revisions of its copy: what stands
-- in for it stays.
WITH
    (
        SELECT groupArray((conversion_id, revision))
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(copies)s
    ) AS copied,
    concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), conversion_id)))) AS copy
SELECT DISTINCT copy
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND (has(copied, (copy, revision)) OR NOT has(copied.1, copy))
