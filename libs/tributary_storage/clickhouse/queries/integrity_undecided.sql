-- The counted conversions of some names of a workspace, and how many of them one destination has decided on: each was
-- sent, refused, or is recorded as not eligible. Looked at are those published since the destination's first decision,
-- for who was there before the destination is not sent to it; while it has decided on nothing, those of the last hour.
WITH
    (
        SELECT if(count() > 0, min(revision), toUInt64(toUnixTimestamp64Micro(now64(6) - INTERVAL 1 HOUR)))
        FROM deliveries
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
    ) AS since
SELECT
    count(),
    countIf(conversion_id IN
    (
        SELECT conversion_id
        FROM deliveries
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
    ))
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND counted
    AND name IN %(names)s
    AND revision >= since
