-- Every pair of identifiers that one event carried, of which the round asks for one, with the first such event in event
-- order: what people are made of; and when that was accepted.
-- Quarantined events prove nothing. Observations of one order that carry different identifiers are an edge too, at the
-- later of the two, and known since the later one was accepted: an order has one buyer. Only two customer ids are not tied
-- by an order.
-- Without FINAL: of an event that was recorded twice, or released since, one row that counts is as good as another.
SELECT
    first,
    second,
    min(place) AS place
FROM
(
    SELECT
        first,
        second,
        (
            toUnixTimestamp64Micro(event_time),
            xxHash64(event_id),
            toUnixTimestamp64Micro(accept_time)
        ) AS place
    FROM
    (
        SELECT
            identity_tokens,
            event_time,
            event_id,
            accept_time
        FROM events
        PREWHERE length(identity_tokens) > 1
            AND arrayExists(t -> t IN (/*asked*/), identity_tokens)
        WHERE workspace = %(workspace)s
            AND verdict != 'QUARANTINED'
    )
    ARRAY JOIN identity_tokens AS first
    ARRAY JOIN identity_tokens AS second
    WHERE first < second
        AND (first IN (/*asked*/) OR second IN (/*asked*/))
    UNION ALL
    SELECT
        least(one.1, other.1) AS first,
        greatest(one.1, other.1) AS second,
        (
            greatest(one.2, other.2).1,
            greatest(one.2, other.2).2,
            greatest(one.2.3, other.2.3)
        ) AS place
    FROM
    (
        SELECT groupArray((token, place)) AS seen
        FROM
        (
            SELECT
                conversion_id,
                token,
                min((
                    toUnixTimestamp64Micro(event_time),
                    xxHash64(event_id),
                    toUnixTimestamp64Micro(accept_time)
                )) AS place
            FROM events
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
                            AND identity_token IN (/*asked*/)
                            AND kind = 'conversion'
                            AND verdict != 'QUARANTINED'
                    )
            )
            WHERE workspace = %(workspace)s
                AND verdict != 'QUARANTINED'
                AND kind = 'conversion'
            GROUP BY
                conversion_id,
                token
        )
        GROUP BY conversion_id
        HAVING length(seen) > 1
    )
    ARRAY JOIN seen AS one
    ARRAY JOIN seen AS other
    WHERE one.1 < other.1
        AND (one.1 IN (/*asked*/) OR other.1 IN (/*asked*/))
        AND NOT (startsWith(one.1, 'customer:') AND startsWith(other.1, 'customer:'))
)
GROUP BY
    first,
    second
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
