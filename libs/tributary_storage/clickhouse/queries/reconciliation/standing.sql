-- What a run can say of some conversions that earlier runs found something about: whether it compared them, whether they
-- are stored, whether it would have named them if nobody had observed them, whether anything is known of them at all,
-- and, of those it compared that count, what they are worth as an outlier's amount is written.
WITH
    looked_at AS
    (
        SELECT
            r.conversion_id AS conversion_id,
            greatest(r.accept_time, f.accept_time) AS newest,
            if(f.is_settled, f.person, r.person) AS person,
            if(r.counted, concat(toString(r.original_micros), ' micros ', r.currency), '') AS amount
        FROM
        (
            SELECT *
            FROM reconciliation_conversions FINAL
            WHERE reconciliation_id = %(run)s
                AND is_compared
                AND conversion_id IN %(conversions)s
        ) AS r
        LEFT JOIN
        (
            SELECT *
            FROM reconciliation_families FINAL
            WHERE reconciliation_id = %(run)s
                AND is_settled
        ) AS f ON f.conversion_id = r.conversion_id
    )
SELECT
    a.conversion_id,
    l.conversion_id != '' AND greatest(l.newest, j.newest) <= %(settled)s AND s.publish_micros <= %(staged)s AS is_compared,
    s.conversion_id != ''
        AND s.time >= %(begin)s
        AND s.time < %(end)s
        AND s.publish_micros <= %(staged)s AS is_looked_for,
    s.conversion_id != '' AS is_stored,
    a.conversion_id IN
    (
        SELECT conversion_id
        FROM events_by_conversion
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(conversions)s
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
    ) AS is_observed,
    l.amount
FROM
(
    SELECT arrayJoin(%(conversion_list)s) AS conversion_id
) AS a
LEFT JOIN looked_at AS l ON l.conversion_id = a.conversion_id
LEFT JOIN
(
    SELECT
        person,
        max(accept_time) AS newest
    FROM reconciliation_entries
    WHERE reconciliation_id = %(run)s
        AND person IN (SELECT person FROM looked_at)
    GROUP BY person
) AS j ON j.person = l.person
LEFT JOIN
(
    SELECT
        conversion_id,
        toUnixTimestamp64Micro(conversion_time) AS time,
        toUnixTimestamp64Micro(publish_time) AS publish_micros
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
) AS s ON s.conversion_id = a.conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
