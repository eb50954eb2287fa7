-- Conversions that were published of a person until a moment and are others' by now: somebody told more of them since, or
-- the person turned out to be two.
SELECT DISTINCT conversion_id
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND person_id IN %(person_keys)s
    AND conversion_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND conversion_id NOT IN %(conversions)s
