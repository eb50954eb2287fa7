-- Decides a batch of withdrawals: conversions that were exported, were not withdrawn, and are no more; none, no batch.
INSERT INTO warehouse_batches
(
    workspace,
    destination_id,
    batch_id,
    generation,
    kind,
    freeze_time,
    conversion_ids,
    revisions,
    first_record_time,
    last_record_time
)
SELECT
    %(workspace)s,
    %(destination_id)s,
    %(batch_id)s,
    1,
    'withdrawals',
    fromUnixTimestamp64Micro(%(freeze_micros)s, 'UTC'),
    groupUniqArray(conversion_id) AS ids,
    [],
    toDateTime64(0, 6, 'UTC'),
    toDateTime64(0, 6, 'UTC')
FROM
(
    SELECT arrayJoin(conversion_ids) AS conversion_id
    FROM warehouse_batches FINAL
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
        AND kind = 'revisions'
)
WHERE cityHash64(conversion_id) %% %(parts)s = %(part)s
    AND conversion_id NOT IN
    (
        SELECT conversion_id
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND cityHash64(conversion_id) %% %(parts)s = %(part)s
    )
    AND conversion_id NOT IN
    (
        SELECT arrayJoin(conversion_ids)
        FROM warehouse_batches FINAL
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND kind = 'withdrawals'
    )
HAVING notEmpty(ids)
SETTINGS distributed_product_mode = 'global'
