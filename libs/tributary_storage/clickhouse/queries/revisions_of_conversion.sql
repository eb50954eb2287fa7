-- Revisions of one conversion, oldest first, as they were published; of what an erasure severed there are none. FINAL: a
-- row may have been written twice.
SELECT revised
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
    AND revised != ''
    AND revision > %(after)s
    AND revision <= %(last)s
ORDER BY revision
LIMIT %(limit)s
