-- Of some identifiers those that were seen with too many customer ids within some days, and the event that showed it: from this one on
-- they link nobody. Both ends of the days are included. Observations of one order are seen together from the later on.
-- A customer is there from an event on until as many days after are over; an event within them prolongs that. They
-- become more only where such a time begins: the first beginning at which too many are there is the event.
-- Of what was accepted before a moment: what a run's days changed is told by asking twice.
SELECT
    token,
    arrayFirst(
        (change, there) -> there > %(customers)s,
        changes,
        arrayCumSum(change -> change.2, changes)
    ).1 AS shared_since
FROM
(
    SELECT
        token,
        arraySort(groupArrayArray(comings_and_goings)) AS changes
    FROM
    (
        SELECT
            token,
            customer,
            arraySort(groupArray(place)) AS places,
            arrayMap(
                (p, before) -> before > 0 AND p.1 - before <= %(reach)s,
                places,
                arrayPopBack(arrayPushFront(places.1, 0))
            ) AS prolongs,
            arrayConcat(
                arrayMap(
                    p -> (p, 1::Int8),
                    arrayFilter((p, prolongs_it) -> NOT prolongs_it, places, prolongs)
                ),
                arrayMap(
                    p -> ((p.1 + %(reach)s + 1, 0::UInt64), -1::Int8),
                    arrayFilter(
                        (p, is_prolonged) -> NOT is_prolonged,
                        places,
                        arrayPushBack(arrayPopFront(prolongs), 0)
                    )
                )
            ) AS comings_and_goings
        FROM
        (
            SELECT
                token,
                customer,
                (toUnixTimestamp64Micro(event_time), xxHash64(event_id)) AS place
            FROM events FINAL
            ARRAY JOIN identity_tokens AS token
            ARRAY JOIN identity_tokens AS customer
            PREWHERE hasAny(identity_tokens, %(token_list)s)
            WHERE workspace = %(workspace)s
                AND token IN %(tokens)s
                AND verdict != 'QUARANTINED'
                AND accept_time < fromUnixTimestamp64Micro(%(accepted_before)s, 'UTC')
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
                    pair,
                    arrayMap(s -> s.2, arrayFilter(s -> s.1 IN (pair.1, pair.2), seen)) AS places,
                    greatest(
                        arrayMin(s -> s.2, arrayFilter(s -> s.1 = pair.1, seen)),
                        arrayMin(s -> s.2, arrayFilter(s -> s.1 = pair.2, seen))
                    ) AS both_since
                FROM
                (
                    SELECT
                        groupArray((token, (toUnixTimestamp64Micro(event_time), xxHash64(event_id)))) AS seen,
                        arrayFilter(t -> startsWith(t, 'customer:'), groupUniqArray(token)) AS customers,
                        arrayFilter(t -> t IN %(tokens)s, groupUniqArray(token)) AS others
                    FROM events FINAL
                    ARRAY JOIN identity_tokens AS token
                    PREWHERE conversion_id IN
                    (
                        SELECT conversion_id
                        FROM events_by_conversion
                        WHERE workspace = %(workspace)s
                            AND kind = 'conversion'
                            AND verdict = 'DUPLICATE'
                            AND conversion_id IN
                            (
                                SELECT conversion_id
                                FROM events_by_identifier
                                WHERE workspace = %(workspace)s
                                    AND identity_token IN %(tokens)s
                                    AND kind = 'conversion'
                            )
                    )
                    WHERE workspace = %(workspace)s
                        AND verdict != 'QUARANTINED'
                        AND accept_time < fromUnixTimestamp64Micro(%(accepted_before)s, 'UTC')
                        AND kind = 'conversion'
                    GROUP BY conversion_id
                )
                ARRAY JOIN arrayFlatten(arrayMap(o -> arrayMap(c -> (o, c), customers), others)) AS pair
            )
            ARRAY JOIN arrayFilter(p -> p >= both_since, places) AS place
        )
        GROUP BY
            token,
            customer
    )
    GROUP BY token
    HAVING uniqExact(customer) > %(customers)s
)
WHERE shared_since.1 > 0
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
