-- Conversions that were exported, were not withdrawn, and are no more.
SELECT DISTINCT conversion_id
FROM
(
    SELECT arrayJoin(conversion_ids) AS conversion_id
    FROM warehouse_batches FINAL
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
        AND kind = 'revisions'
)
WHERE cityHash64(conversion_id) %% %(parts)s = %(part)s
    AND conversion_id GLOBAL NOT IN
    (
        SELECT conversion_id
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND cityHash64(conversion_id) %% %(parts)s = %(part)s
    )
    AND conversion_id GLOBAL NOT IN
    (
        SELECT arrayJoin(conversion_ids)
        FROM warehouse_batches FINAL
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND kind = 'withdrawals'
    )
ORDER BY conversion_id
LIMIT %(most)s
SETTINGS distributed_product_mode = 'global'
