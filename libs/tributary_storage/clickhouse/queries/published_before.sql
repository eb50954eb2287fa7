-- Whether anything of a workspace was published before a moment. Revisions are times and choose the partition, so of what
-- is newer nothing is read; of what is older, one row.
SELECT 1
FROM conversion_revisions
WHERE workspace = %(workspace)s AND revision < %(moment)s
LIMIT 1
