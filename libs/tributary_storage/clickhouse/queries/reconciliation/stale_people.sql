-- Conversions of one slice of people that are stored under a person id that none of their person's identifiers has: they are
-- somebody else's. And of people whose conversions are stored under several of these ids all but those under the one that
-- most of them have; where as many have another, under that of the earliest.
SELECT
    conversion_id,
    stored.1 AS stored_person,
    usual,
    stored.3 AS is_theirs
FROM
(
    SELECT
        person,
        groupArray((person_id, conversion_ids, is_theirs)) AS stored_people,
        if(max(is_theirs), argMax(person_id, (is_theirs, number, -earliest)), any(called)) AS usual
    FROM
    (
        SELECT
            c.person AS person,
            s.person_id AS person_id,
            groupArray(c.conversion_id) AS conversion_ids,
            count() AS number,
            min(c.time) AS earliest,
            any(p.first_id) AS called,
            empty(any(p.person_ids)) OR has(any(p.person_ids), s.person_id) AS is_theirs
        FROM reconciliation_conversions AS c FINAL
        INNER JOIN
        (
            /*stored*/
        ) AS s ON s.conversion_id = c.conversion_id
        LEFT JOIN
        (
            SELECT
                person AS whose,
                groupArray(person_id) AS person_ids,
                anyIf(person_id, is_first) AS first_id
            FROM reconciliation_people FINAL
            WHERE reconciliation_id = %(run)s
                AND person %% %(slices)s = %(slice)s
            GROUP BY person
        ) AS p ON p.whose = c.person
        WHERE c.reconciliation_id = %(run)s
            AND c.slice = %(slice)s
            AND c.person != 0
            AND c.accept_time <= %(settled)s
            AND s.publish_micros <= %(staged)s
        GROUP BY
            person,
            person_id
    )
    GROUP BY person
    HAVING count() > 1 OR NOT max(is_theirs)
)
ARRAY JOIN stored_people AS stored
ARRAY JOIN stored.2 AS conversion_id
WHERE stored.1 != usual
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
