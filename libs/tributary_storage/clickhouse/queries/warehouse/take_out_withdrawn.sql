-- Takes what was withdrawn out of all batches that have it, as their next generation: their files are written anew. A
-- second run finds none.
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
    replaced,
    first_record_time,
    last_record_time
)
SELECT
    workspace,
    destination_id,
    batch_id,
    generation + 1,
    kind,
    freeze_time,
    groupArrayIf(key.1, NOT is_withdrawn),
    groupArrayIf(key.2, NOT is_withdrawn),
    if(is_told, groupArrayIf(key.3, NOT is_withdrawn), []),
    first_record_time,
    last_record_time
FROM
(
    SELECT
        * EXCEPT (conversion_ids, revisions, replaced),
        notEmpty(replaced) AS is_told,
        arrayJoin(arrayZip(conversion_ids, revisions, if(is_told, replaced, revisions))) AS key,
        key.1 GLOBAL IN
        (
            SELECT arrayJoin(conversion_ids)
            FROM warehouse_batches FINAL
            WHERE workspace = %(workspace)s
                AND destination_id = %(destination_id)s
                AND kind = 'withdrawals'
        ) AS is_withdrawn
    FROM warehouse_batches FINAL
    WHERE workspace = %(workspace)s
        AND destination_id = %(destination_id)s
        AND kind = 'revisions'
)
GROUP BY
    workspace,
    destination_id,
    batch_id,
    generation,
    kind,
    freeze_time,
    is_told,
    first_record_time,
    last_record_time
HAVING countIf(is_withdrawn) > 0
SETTINGS distributed_product_mode = 'global'
