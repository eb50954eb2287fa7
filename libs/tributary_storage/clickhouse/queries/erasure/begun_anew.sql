-- The revisions that conversions began with: one each, unless they were destroyed and told again.
SELECT DISTINCT
    conversion_id,
    revision
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND previous_revision = 0
