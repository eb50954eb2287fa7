-- The counted conversions of some names of a workspace, and how many of them one destination has decided on: each was
-- sent, refused, or is recorded as not eligible. Only of the last 399 days: the ledger is kept 400.
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
    AND publish_time >= now64(6, 'UTC') - INTERVAL 399 DAY
