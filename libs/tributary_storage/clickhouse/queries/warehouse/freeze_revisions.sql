-- Decides a batch: revisions that no batch of the destination has yet, oldest record first; none, no batch.
-- Rows are not visible in the order of their record time, and clocks jump: so what was recorded within a day before the
-- newest of any batch, or before now, is held against all batches that reach so far; a sweep holds everything against
-- all, a part of the conversions at a time.
-- A revision whose predecessor is on its way still waits for it, for its postings take that one back: three days at most.
-- By then what was lost of published revisions has been written again by the nightly reconciliation, or never will be.
-- Its postings take back the newest revision before it that is there, as reports have it, whichever it names. One that is
-- there only after a newer one was exported posts nothing: what it changed was posted with that.
-- What an erasure leaves under random ids comes with the sweep that withdraws what it left it of, never before: while one is
-- under way it is passed over, for an hour at most; and where one got further since whoever decides looked how far they
-- are together (-1: nobody did), for then a sweep is at hand.
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
WITH
    (
        SELECT least(now64(6, 'UTC'), max(last_record_time)) - INTERVAL 1 DAY
        FROM warehouse_batches
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND kind = 'revisions'
    ) AS lately,
    if(%(is_sweep)s, toDateTime64(0, 6, 'UTC'), assumeNotNull(lately)) AS since,
    chained AS
    (
        SELECT
            conversion_id,
            revision,
            recorded,
            lagInFrame(revision) OVER older AS before,
            leadInFrame(revision) OVER newer AS after,
            leadInFrame(recorded) OVER newer AS after_recorded
        FROM
        (
            SELECT
                conversion_id,
                revision,
                min(conversion_revisions.record_time) AS recorded
            FROM conversion_revisions
            WHERE workspace = %(workspace)s
                AND conversion_id GLOBAL IN
                (
                    SELECT conversion_id
                    FROM conversion_revisions
                    WHERE workspace = %(workspace)s
                        AND conversion_revisions.record_time >= since
                        AND cityHash64(conversion_id) %% %(parts)s = %(part)s
                )
            GROUP BY
                conversion_id,
                revision
        )
        WINDOW
            older AS (PARTITION BY conversion_id ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            newer AS (PARTITION BY conversion_id ORDER BY revision ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    ),
    (
        SELECT groupUniqArray(conversion_id)
        FROM chained
        WHERE after > 0
            AND recorded >= greatest(after_recorded, since)
    ) AS overtaken
SELECT
    %(workspace)s,
    %(destination_id)s,
    %(batch_id)s,
    1,
    'revisions',
    fromUnixTimestamp64Micro(%(freeze_micros)s, 'UTC'),
    groupArray(conversion_id) AS ids,
    groupArray(revision),
    groupArray(replaced),
    min(record_time),
    max(record_time)
FROM
(
    SELECT
        n.conversion_id AS conversion_id,
        n.revision AS revision,
        n.record_time AS record_time,
        multiIf(
            x.replaced < n.revision AND x.revision > 0, n.revision,
            c.revision > 0, c.before,
            n.previous
        ) AS replaced
    FROM
    (
        SELECT
            conversion_id,
            revision,
            any(previous_revision) AS previous,
            min(conversion_revisions.record_time) AS record_time
        FROM conversion_revisions
        WHERE workspace = %(workspace)s
            AND conversion_revisions.record_time >= since
            AND cityHash64(conversion_id) %% %(parts)s = %(part)s
            AND (empty(%(names)s::Array(String)) OR has(%(names)s::Array(String), name))
            AND NOT
            (
                startsWith(conversion_id, 's1:')
                AND
                (
                    SELECT
                        countIf(state = 'requested' AND request_time > now64(6, 'UTC') - INTERVAL 1 HOUR) > 0
                        OR %(erasures)s NOT IN (-1, /*erasures_version*/)
                    FROM erasures FINAL
                    WHERE workspace = %(workspace)s
                )
            )
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
    ) AS n
    GLOBAL LEFT JOIN chained AS c ON c.conversion_id = n.conversion_id AND c.revision = n.revision
    GLOBAL LEFT JOIN
    (
        SELECT
            exported.1 AS conversion_id,
            exported.2 AS revision,
            min(exported.3) AS replaced
        FROM
        (
            SELECT arrayJoin(arrayZip(conversion_ids, revisions, if(empty(replaced), revisions, replaced))) AS exported
            FROM warehouse_batches FINAL
            WHERE notEmpty(overtaken)
                AND workspace = %(workspace)s
                AND destination_id = %(destination_id)s
                AND kind = 'revisions'
                AND hasAny(conversion_ids, overtaken)
        )
        WHERE has(overtaken, exported.1)
        GROUP BY
            exported.1,
            exported.2
    ) AS x ON x.conversion_id = n.conversion_id AND x.revision = c.after
    ORDER BY
        record_time,
        conversion_id,
        revision
)
HAVING notEmpty(ids)
SETTINGS
    distributed_product_mode = 'global',
    prefer_column_name_to_alias = 0
