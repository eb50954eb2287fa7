-- The workspaces of which anything was published before a moment. Revisions are times and choose the partition, so of what
-- is newer nothing is read.
SELECT DISTINCT workspace
FROM conversion_revisions
WHERE revision < %(moment)s
