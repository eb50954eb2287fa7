-- Says of each conversion that was observed in the days of a run what its observations and adjustments mean together.
-- Observations in event order: those that count, else internal and test traffic; the value of the highest ranked that
-- states one, the earliest of these. Each adjustment once, in event order; a restatement absorbs what was before it.
INSERT INTO reconciliation_conversions
(
    reconciliation_id,
    slice,
    conversion_id,
    person,
    time,
    hash,
    session,
    name,
    store,
    order_id,
    currency,
    original_micros,
    value_micros,
    counted,
    retracted,
    is_internal,
    observations,
    tokens,
    accept_time
)
SELECT
    %(run)s,
    if(person = 0, xxHash64(conversion_id), person) %% %(slices)s,
    conversion_id,
    if(empty(tokens), 0, if(p.person = 0, xxHash64(tokens[1]), p.person)) AS person,
    time,
    hash,
    session,
    name,
    store,
    order_id,
    currency,
    if(has_original, toInt64(original), 0),
    toInt64(if(NOT adjusted.2 OR adjusted.4, 0, greatest(adjusted.3, 0))),
    NOT is_internal AND NOT adjusted.4,
    adjusted.4,
    is_internal,
    observations,
    tokens,
    accept_time
FROM
(
    SELECT
        *,
        arrayFold(
            (state, part) -> multiIf(
                part.kind = 'RESTATEMENT', (part.amount, 1::UInt8, part.amount, 0::UInt8),
                part.kind = 'RETRACTION', (state.1, state.2, state.3, 1::UInt8),
                NOT state.2, state,
                part.kind = 'REVERSAL', (state.1, state.2, if(part.has_amount, state.3 + part.amount, state.1), state.4),
                (state.1, state.2, if(part.has_amount, state.3 - part.amount, least(state.3, 0)), state.4)
            ),
            adjustments,
            (toInt128(original), has_original, toInt128(original), 0::UInt8)
        ) AS adjusted
    FROM
    (
        SELECT
            conversion_id,
            arraySort(groupArrayIf(part, part.is_observation)) AS every,
            arrayFilter(o -> NOT o.is_internal, every) AS good,
            empty(good) AS is_internal,
            if(is_internal, every, good) AS seen,
            seen[1].time AS time,
            seen[1].hash AS hash,
            seen[1].name AS name,
            seen[1].store AS store,
            seen[1].order_id AS order_id,
            arrayFirst(o -> o.session != 0, seen).session AS session,
            arrayMap(o -> o.event_id, seen) AS observations,
            arrayFirst(o -> notEmpty(o.tokens), seen).tokens AS tokens,
            arrayFirst(o -> o.has_amount AND o.rank = arrayMax(x -> if(x.has_amount, x.rank, 0), seen), seen) AS valued_by,
            transform(toString(name), %(default_names)s, %(default_micros)s, 0) AS default_micros,
            transform(toString(name), %(default_names)s, %(default_currencies)s, '') AS default_currency,
            if(valued_by.has_amount, toInt64(valued_by.amount), default_micros) AS original,
            toUInt8(valued_by.has_amount OR default_currency != '') AS has_original,
            arraySort(groupArrayIf(part, NOT part.is_observation AND NOT part.is_internal)) AS reports,
            arrayFilter(
                (a, at) -> arrayFirstIndex(b -> b.kind = a.kind AND b.identity = a.identity, reports) = at,
                reports,
                arrayEnumerate(reports)
            ) AS each_once,
            if(valued_by.has_amount, valued_by.currency, default_currency) AS stated_currency,
            if(
                stated_currency = '',
                arrayLast(a -> a.kind = 'RESTATEMENT', each_once).currency,
                stated_currency
            ) AS currency,
            arrayFilter(a -> currency = '' OR a.currency IN ('', currency), each_once) AS adjustments,
            max(part.accept_time) AS accept_time
        FROM
        (
            SELECT
                if(e.kind = 'adjustment' AND t.order_of != '', t.order_of, e.named) AS conversion_id,
                CAST(
                    (
                        toUnixTimestamp64Micro(event_time),
                        xxHash64(event_id),
                        event_id,
                        e.kind = 'conversion',
                        traffic IN ('INTERNAL', 'TEST'),
                        isNotNull(value_micros),
                        ifNull(value_micros, 0),
                        currency,
                        source_rank,
                        session,
                        conversion_name,
                        store,
                        order_id,
                        identity_tokens,
                        if(adjustment_reason IN ('REFUND', 'CHARGEBACK', 'REVERSAL', 'RETRACTION'), adjustment_reason, 'RESTATEMENT'),
                        if(adjustment_id = '', concat('e:', event_id), concat('a:', adjustment_id)),
                        toUnixTimestamp64Micro(accept_time)
                    ),
                    'Tuple(time Int64, hash UInt64, event_id String, is_observation UInt8, is_internal UInt8, has_amount UInt8, amount Int128, currency String, rank UInt8, session UInt64, name String, store String, order_id String, tokens Array(String), kind String, identity String, accept_time Int64)'
                ) AS part
            FROM
            (
                SELECT
                    *,
                    if(session_id = '', 0, xxHash64(session_id)) AS session,
                    if(conversion_id = '', details['target_conversion_id'], conversion_id) AS named
                FROM events FINAL
                WHERE workspace = %(workspace)s
                    AND kind IN ('conversion', 'adjustment')
                    AND verdict != 'QUARANTINED'
            ) AS e
            LEFT JOIN
            (
                SELECT
                    event_id AS target,
                    any(conversion_id) AS order_of
                FROM events
                WHERE workspace = %(workspace)s
                    AND kind = 'conversion'
                    AND verdict != 'QUARANTINED'
                    AND event_id IN
                    (
                        SELECT details['target_event_id']
                        FROM events
                        WHERE workspace = %(workspace)s
                            AND kind = 'adjustment'
                    )
                GROUP BY event_id
            ) AS t ON t.target = e.details['target_event_id']
        )
        WHERE conversion_id IN
        (
            SELECT conversion_id
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
                AND verdict != 'QUARANTINED'
                AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        GROUP BY conversion_id
        HAVING notEmpty(every)
    )
) AS c
LEFT JOIN
(
    SELECT
        identity_token,
        person
    FROM reconciliation_people FINAL
    WHERE reconciliation_id = %(run)s
) AS p ON p.identity_token = c.tokens[1]
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1,
    max_bytes_before_external_group_by = %(spill)s
