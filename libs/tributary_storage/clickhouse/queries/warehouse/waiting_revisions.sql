-- How many revisions no batch has, of those recorded since a moment, or up to ten minutes before it by who became visible
-- late; when the first of them was, what time it is, how many keys all batches have, how far the erasures are together, and
-- whether one is under way just now.
WITH fromUnixTimestamp64Micro(%(since_micros)s, 'UTC') - INTERVAL 10 MINUTE AS since
SELECT
    uniqExact(conversion_id, revision),
    toUnixTimestamp64Micro(min(record_time)),
    toUnixTimestamp64Micro(now64(6, 'UTC')),
    (
        SELECT sum(length(conversion_ids))
        FROM warehouse_batches
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
    ),
    (
        SELECT /*erasures_version*/
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
    ),
    (
        SELECT countIf(state = 'requested' AND request_time > now64(6, 'UTC') - INTERVAL 1 HOUR) > 0
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
    )
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND record_time >= since
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
    )
SETTINGS distributed_product_mode = 'global'
