-- Every pair of identifiers that one event carried, with the first such event in event order: what people are made of.
-- Quarantined events prove nothing. Observations of one order that carry different identifiers are an edge too, at the
-- later of the two: an order has one buyer. Only two customer ids are not tied by an order.
SELECT
    first,
    second,
    min((time, hash)) AS place
FROM
(
    SELECT
        first,
        second,
        toUnixTimestamp64Micro(event_time) AS time,
        xxHash64(event_id) AS hash
    FROM events FINAL
    ARRAY JOIN identity_tokens AS first
    ARRAY JOIN identity_tokens AS second
    WHERE workspace = %(workspace)s
        AND verdict != 'QUARANTINED'
        AND length(identity_tokens) > 1
        AND first < second
    UNION ALL
    SELECT
        least(one.1, other.1) AS first,
        greatest(one.1, other.1) AS second,
        greatest(one.2, other.2).1 AS time,
        greatest(one.2, other.2).2 AS hash
    FROM
    (
        SELECT groupArray((token, place)) AS seen
        FROM
        (
            SELECT
                conversion_id,
                token,
                min((toUnixTimestamp64Micro(event_time), xxHash64(event_id))) AS place
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
        AND NOT (startsWith(one.1, 'customer:') AND startsWith(other.1, 'customer:'))
)
GROUP BY
    first,
    second
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
