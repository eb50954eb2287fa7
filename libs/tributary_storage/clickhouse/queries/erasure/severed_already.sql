-- Which random ids of conversions there are already.
SELECT DISTINCT conversion_id
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(copies)s
