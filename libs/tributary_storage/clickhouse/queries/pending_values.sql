-- Orders that wait in quarantine for their amount alone, by name and currency: how many, worth what, and of the earliest
-- the place of each. One order is counted once, worth what the highest ranked of its observations says, the earliest of
-- these. None that somebody decided on, that was erased, that is internal or a test, or whose order another observation
-- made a conversion.
WITH
    waiting AS
    (
        SELECT *
        FROM events FINAL
        WHERE workspace = %(workspace)s
            AND event_time IN
            (
                SELECT event_time
                FROM quarantined_amounts
                WHERE workspace = %(workspace)s
                    AND event_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
                    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            )
            AND xxHash64(event_id) IN
            (
                SELECT event_hash
                FROM quarantined_amounts
                WHERE workspace = %(workspace)s
                    AND event_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
                    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            )
            AND verdict = 'QUARANTINED'
            AND NOT hasAny(reason_codes, %(other_reasons)s)
            AND admitted != ''
            AND traffic NOT IN ('INTERNAL', 'TEST')
            AND accept_time < fromUnixTimestamp64Micro(%(accepted_before)s, 'UTC')
    )
SELECT
    best.1 AS name,
    best.2 AS currency_code,
    sum(toInt128(ifNull(best.4, 0))) AS total,
    count() AS orders,
    arraySort(groupArray(%(most)s)((accepted, conversion_id, best.3, ifNull(best.4, 0)))) AS places
FROM
(
    SELECT
        conversion_id,
        argMin(
            (conversion_name, currency, event_id, value_micros),
            (-source_rank, event_time, xxHash64(event_id))
        ) AS best,
        toUnixTimestamp64Micro(min(accept_time)) AS accepted
    FROM
    (
        SELECT
            workspace,
            conversion_id,
            conversion_name,
            currency,
            event_id,
            value_micros,
            toInt16(source_rank) AS source_rank,
            event_time,
            accept_time
        FROM
        (
            /*undecided*/
        )
    )
    GROUP BY conversion_id
    ORDER BY accepted
)
GROUP BY
    name,
    currency_code
ORDER BY
    name,
    currency_code
LIMIT %(groups)s
SETTINGS max_threads = 2
