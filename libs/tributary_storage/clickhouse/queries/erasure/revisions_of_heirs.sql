-- All revisions of some conversions, as they were published.
SELECT
    conversion_id,
    revision,
    revised
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversion_ids)s
    AND revised != ''
