-- The revisions of conversions that somebody told again of which attempts are there that were sent while these were the
-- person's: published before that one told them, and not by that one.
SELECT DISTINCT
    conversion_id,
    revision
FROM deliveries
WHERE workspace = %(workspace)s
    AND conversion_id IN %(again)s
    AND revision < transform(conversion_id, %(again)s, CAST(%(again_from)s, 'Array(UInt64)'), toUInt64(0))
    AND (conversion_id, revision) NOT IN (
        SELECT
            conversion_id,
            revision
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(again)s
    )
ORDER BY
    conversion_id,
    revision
