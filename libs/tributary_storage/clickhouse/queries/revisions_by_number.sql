-- Some revisions of some conversions, as they were published; of what an erasure severed there are none. The pairs are in
-- the order of the table, so only granules around them are read.
SELECT
    conversion_id,
    revision,
    revised
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND (conversion_id, revision) IN (%(numbered)s)
    AND revised != ''
LIMIT 1 BY
    conversion_id,
    revision
