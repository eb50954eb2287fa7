-- How many revisions of conversions are there still, as far as they are theirs.
SELECT count()
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND /*theirs*/
