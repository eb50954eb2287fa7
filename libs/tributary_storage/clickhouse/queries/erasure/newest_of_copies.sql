-- The newest revision of each copy under a random id that is there already.
SELECT
    conversion_id,
    max(revision)
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(copies)s
GROUP BY conversion_id
