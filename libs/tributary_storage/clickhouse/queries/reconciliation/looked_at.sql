-- The conversions that a run was to compare, and whether it did: not those of whose parts, family or journey anything was so
-- new that the streaming might still be at it. And whether it could compare its credit, too: not where touches of its
-- window are deleted for their age.
SELECT
    c.conversion_id AS conversion_id,
    c.time AS time,
    c.time >= %(begin)s AND c.time < %(end)s AS is_of_days,
    greatest(c.accept_time, c.family_accept_time, j.newest) <= %(settled)s AS is_settled,
    c.credited_time >= %(compared_since)s AS is_whole
FROM
(
    SELECT
        r.conversion_id AS conversion_id,
        r.time AS time,
        r.accept_time AS accept_time,
        f.accept_time AS family_accept_time,
        if(f.is_settled, f.person, r.person) AS person,
        if(f.is_settled, f.time, r.time) AS credited_time
    FROM
    (
        SELECT
            conversion_id,
            time,
            accept_time,
            person
        FROM reconciliation_conversions FINAL
        WHERE reconciliation_id = %(run)s
            AND is_compared
    ) AS r
    LEFT JOIN
    (
        SELECT
            conversion_id,
            is_settled,
            accept_time,
            person,
            time
        FROM reconciliation_families FINAL
        WHERE reconciliation_id = %(run)s
            AND is_settled
    ) AS f ON f.conversion_id = r.conversion_id
) AS c
LEFT JOIN
(
    SELECT
        person,
        max(accept_time) AS newest
    FROM reconciliation_entries
    WHERE reconciliation_id = %(run)s
    GROUP BY person
) AS j ON j.person = c.person
