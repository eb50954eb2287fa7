-- Conversions of one person that are stored under several person ids, in one slice of people: all but those under the id
-- that most of them have are stale; where as many have another, under that of the earliest.
SELECT
    conversion_id,
    person,
    stored_person,
    usual
FROM
(
    SELECT
        person,
        groupArray((person_id, conversion_ids)) AS theirs,
        argMax(person_id, (number, -earliest)) AS usual
    FROM
    (
        SELECT
            c.person AS person,
            s.person_id AS person_id,
            groupArray(c.conversion_id) AS conversion_ids,
            count() AS number,
            min(c.time) AS earliest
        FROM reconciliation_conversions AS c FINAL
        INNER JOIN
        (
            /*stored*/
        ) AS s ON s.conversion_id = c.conversion_id
        WHERE c.reconciliation_id = %(run)s
            AND c.slice = %(slice)s
            AND c.person != 0
            AND c.accept_time <= %(settled)s
        GROUP BY
            person,
            person_id
    )
    GROUP BY person
    HAVING count() > 1
)
ARRAY JOIN theirs.1 AS stored_person, theirs.2 AS stale_ids
ARRAY JOIN stale_ids AS conversion_id
WHERE stored_person != usual
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
