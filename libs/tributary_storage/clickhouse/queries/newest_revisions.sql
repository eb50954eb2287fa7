-- The newest revision of each of several conversions, as it was published. Conversions that there are none of are left
-- out. The ids are in the order of the table, so only granules around them are read.
SELECT
    conversion_id,
    revised
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN (%(conversion_ids)s)
    AND NOT startsWith(conversion_id, 's1:')
ORDER BY
    conversion_id,
    revision DESC
LIMIT 1 BY conversion_id
