-- Batches without a manifest of their newest generation, oldest first; their sizes, how far their revisions reach, and of
-- which tables there are files of an earlier generation.
SELECT
    batch_id,
    generation,
    kind,
    toUnixTimestamp64Micro(freeze_time),
    length(conversion_ids),
    arrayMin(revisions),
    arrayMax(revisions),
    earlier.tables
FROM
(
    SELECT *
    FROM warehouse_batches FINAL
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
        AND (batch_id, generation) GLOBAL NOT IN
        (
            SELECT
                batch_id,
                generation
            FROM warehouse_manifests
            WHERE workspace = %(workspace)s
                AND destination_id = %(destination_id)s
        )
) AS batches
GLOBAL LEFT JOIN
(
    SELECT
        batch_id,
        groupUniqArrayArray(mapKeys(table_rows)) AS tables
    FROM warehouse_manifests
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
    GROUP BY batch_id
) AS earlier ON earlier.batch_id = batches.batch_id
ORDER BY
    freeze_time,
    batch_id
SETTINGS distributed_product_mode = 'global'
