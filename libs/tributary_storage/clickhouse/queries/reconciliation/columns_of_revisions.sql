-- The columns of `conversion_revisions`, each with its type.
SELECT
    name,
    type
FROM system.columns
WHERE database = currentDatabase()
    AND table = 'conversion_revisions'
