-- Batches without a manifest of their newest generation, oldest first; their sizes and how far their revisions reach.
SELECT
    batch_id,
    generation,
    kind,
    toUnixTimestamp64Micro(freeze_time),
    length(conversion_ids),
    arrayMin(revisions),
    arrayMax(revisions)
FROM warehouse_batches FINAL
WHERE workspace = %(workspace)s
    AND destination_id = %(destination_id)s
    AND (batch_id, generation) NOT IN
    (
        SELECT
            batch_id,
            generation
        FROM warehouse_manifests
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
    )
ORDER BY
    freeze_time,
    batch_id
SETTINGS distributed_product_mode = 'global'
