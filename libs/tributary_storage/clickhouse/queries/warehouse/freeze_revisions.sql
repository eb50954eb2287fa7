-- Decides a batch: revisions that no batch of the destination has yet, oldest record first; none, no batch.
-- Rows are not visible in the order of their record time, and clocks jump: so what was recorded within a day before the
-- newest of any batch, or before now, is held against all batches that reach so far; a sweep holds everything against
-- all, a part of the conversions at a time.
-- A revision whose predecessor is on its way still waits for it, for its postings take that one back: three days at most.
-- By then what was lost of published revisions has been written again by the nightly reconciliation, or never will be.
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
WITH
    (
        SELECT least(now64(6, 'UTC'), max(last_record_time)) - INTERVAL 1 DAY
        FROM warehouse_batches
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND kind = 'revisions'
    ) AS lately,
    if(%(is_sweep)s, toDateTime64(0, 6, 'UTC'), assumeNotNull(lately)) AS since
SELECT
    %(workspace)s,
    %(destination_id)s,
    %(batch_id)s,
    1,
    'revisions',
    fromUnixTimestamp64Micro(%(freeze_micros)s, 'UTC'),
    groupArray(conversion_id) AS ids,
    groupArray(revision),
    min(record_time),
    max(record_time)
FROM
(
    SELECT
        conversion_id,
        revision,
        min(conversion_revisions.record_time) AS record_time
    FROM conversion_revisions
    WHERE workspace = %(workspace)s
        AND conversion_revisions.record_time >= since
        AND cityHash64(conversion_id) %% %(parts)s = %(part)s
        AND (empty(%(names)s::Array(String)) OR has(%(names)s::Array(String), name))
        AND (conversion_id, revision) GLOBAL NOT IN
        (
            SELECT
                exported.1,
                exported.2
            FROM
            (
                SELECT arrayJoin(arrayZip(conversion_ids, revisions)) AS exported
                FROM warehouse_batches FINAL
                WHERE workspace = %(workspace)s
                    AND destination_id = %(destination_id)s
                    AND kind = 'revisions'
                    AND last_record_time >= since
            )
            WHERE cityHash64(exported.1) %% %(parts)s = %(part)s
        )
        AND
        (
            previous_revision = 0
            OR conversion_revisions.record_time < now64(6, 'UTC') - INTERVAL 3 DAY
            OR (conversion_id, previous_revision) GLOBAL IN
            (
                SELECT
                    conversion_id,
                    revision
                FROM conversion_revisions
                WHERE workspace = %(workspace)s
                    AND conversion_id GLOBAL IN
                    (
                        SELECT conversion_id
                        FROM conversion_revisions
                        WHERE workspace = %(workspace)s
                            AND record_time >= greatest(since, now64(6, 'UTC') - INTERVAL 3 DAY)
                            AND previous_revision > 0
                    )
            )
        )
    GROUP BY
        conversion_id,
        revision
    ORDER BY
        record_time,
        conversion_id,
        revision
    LIMIT %(most)s
)
HAVING notEmpty(ids)
SETTINGS
    distributed_product_mode = 'global',
    prefer_column_name_to_alias = 0
