-- Identifiers that were seen with too many customer ids within some days, and the event that showed it: from this one on
-- they link nobody. Both ends of the days are included. Observations of one order are seen together from the later on.
SELECT
    token,
    arrayFirst(
        (place, customer) -> arrayUniq(arrayMap(
            s -> s.2,
            arrayFilter(s -> s.1 <= place AND s.1.1 >= place.1 - %(reach)s, seen)
        )) > %(customers)s,
        seen.1,
        seen.2
    ) AS shared_since
FROM
(
    SELECT
        token,
        arraySort(groupArray((place, customer))) AS seen
    FROM
    (
        SELECT
            token,
            customer,
            (toUnixTimestamp64Micro(event_time), xxHash64(event_id)) AS place
        FROM events FINAL
        ARRAY JOIN identity_tokens AS token
        ARRAY JOIN identity_tokens AS customer
        WHERE workspace = %(workspace)s
            AND verdict != 'QUARANTINED'
            AND length(identity_tokens) > 1
            AND startsWith(customer, 'customer:')
            AND NOT startsWith(token, 'customer:')
        UNION ALL
        SELECT
            pair.1 AS token,
            pair.2 AS customer,
            place
        FROM
        (
            SELECT
                groupArray((token, (toUnixTimestamp64Micro(event_time), xxHash64(event_id)))) AS seen,
                arrayFilter(t -> startsWith(t, 'customer:'), groupUniqArray(token)) AS customers,
                arrayFilter(t -> NOT startsWith(t, 'customer:'), groupUniqArray(token)) AS others
            FROM events FINAL
            ARRAY JOIN identity_tokens AS token
            WHERE workspace = %(workspace)s
                AND verdict != 'QUARANTINED'
                AND kind = 'conversion'
                AND conversion_id IN
                (
                    SELECT conversion_id
                    FROM events
                    WHERE workspace = %(workspace)s
                        AND kind = 'conversion'
                        AND verdict = 'DUPLICATE'
                )
            GROUP BY conversion_id
        )
        ARRAY JOIN arrayFlatten(arrayMap(o -> arrayMap(c -> (o, c), customers), others)) AS pair
        ARRAY JOIN arrayFilter(
            p -> p >= greatest(
                arrayMin(s -> s.2, arrayFilter(s -> s.1 = pair.1, seen)),
                arrayMin(s -> s.2, arrayFilter(s -> s.1 = pair.2, seen))
            ),
            arrayMap(s -> s.2, arrayFilter(s -> s.1 IN (pair.1, pair.2), seen))
        ) AS place
    )
    GROUP BY token
    HAVING uniqExact(customer) > %(customers)s
)
WHERE shared_since.1 > 0
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
