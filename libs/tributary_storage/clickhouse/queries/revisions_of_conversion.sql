-- The newest revisions of one conversion, newest first, as they were published. FINAL: a row may have been written
-- twice.
SELECT revised
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
ORDER BY revision DESC
LIMIT %(limit)s
