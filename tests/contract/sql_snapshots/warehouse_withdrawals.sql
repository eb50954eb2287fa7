SELECT
    workspace,
    arrayJoin(conversion_ids) AS conversion_id,
    freeze_time AS withdraw_time,
    batch_id
FROM warehouse_batches FINAL
WHERE workspace = %(workspace)s
    AND destination_id = %(destination_id)s
    AND batch_id = %(batch_id)s
ORDER BY
    workspace,
    conversion_id
