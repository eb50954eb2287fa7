-- Takes what a batch withdraws out of all batches that have it, as their next generation: their files are written anew.
-- A second run finds none.
INSERT INTO warehouse_batches
WITH
    (
        SELECT groupArrayArray(conversion_ids)
        FROM warehouse_batches FINAL
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND batch_id = %(batch_id)s
    ) AS withdrawn
SELECT
    * REPLACE
    (
        generation + 1 AS generation,
        arrayMap(key -> key.1, arrayFilter(key -> NOT has(withdrawn, key.1), arrayZip(conversion_ids, revisions)))
            AS conversion_ids,
        arrayMap(key -> key.2, arrayFilter(key -> NOT has(withdrawn, key.1), arrayZip(conversion_ids, revisions)))
            AS revisions
    )
FROM
(
    SELECT *
    FROM warehouse_batches FINAL
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
        AND kind = 'revisions'
        AND hasAny(conversion_ids, withdrawn)
)
SETTINGS
    prefer_column_name_to_alias = 1,
    distributed_product_mode = 'global'
