-- The revision of one conversion that was the newest at a moment, as it was published: a revision's number is when.
SELECT revised
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
    AND revised != ''
    AND revision <= %(moment)s
ORDER BY revision DESC
LIMIT 1
