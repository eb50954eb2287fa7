-- Says of each conversion that a run compares, and of all of its lead or subscription, what its observations and
-- adjustments mean together. It belongs to the most telling identifier of its observations. These in event order: those that count, else internal and
-- test traffic; the value of the highest ranked that states one, the earliest of these. Each adjustment once, in event
-- order; a restatement absorbs what was before it. One may name an order by an observation of it that is in quarantine.
-- Where no value is stated: the default, as pinned when the conversion was published, else as the workspace says.
-- What of the value is credited: without the parts that the basis of its name takes off, pinned likewise. Refunds take off the same of what they say, else in proportion; where a part was
-- not sent, the value is credited as sent. `adjusted`: value as sent, is there one, taken off in proportion, taken off by
-- parts, what of that is credited, is it retracted, credited value, is that as sent.
-- What changes an order that was told without the cycle of a subscription, or takes it back, does so as it was told with
-- that, too, whoever told it so was erased. Likewise what it is worth. Where it was told as several first cycles, these are
-- worth what was said of each, and each has its share of what changes the order. An order that was severed, and is told again,
-- counts as what is left of it: nothing else of it is counted.
-- In steps, because ClickHouse looks through a name of the same step at each of its uses, and through a column only once:
-- as one step this takes ten times as long to plan.
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
    accept_time,
    own_clicks,
    is_compared
)
WITH
    name -> concat('o1:', lower(hex(substring(SHA256(concat(unhex(%(severed_key)s), name)), 1, 16)))) AS digest,
    lent AS
    (
        SELECT DISTINCT
            conversion_id,
            lends_to
        FROM reconciliation_families
        WHERE reconciliation_id = %(run)s
            AND lends_to != ''
    ),
    own_parts AS
    (
        SELECT
            if(e.kind = 'adjustment' AND t.order_of != '', t.order_of, e.named) AS own_id,
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
                    multiIf(
                        order_id != '', order_id,
                        details['subscription_id'] != '' AND cycle != '', details['subscription_id'],
                        details['lead_id'] != '', details['lead_id'],
                        details['root_order_id']
                    ),
                    arraySort(t -> /*telling*/, identity_tokens),
                    if(adjustment_reason IN ('REFUND', 'CHARGEBACK', 'REVERSAL', 'RETRACTION'), adjustment_reason, 'RESTATEMENT'),
                    if(adjustment_id = '', concat('e:', event_id), concat('a:', adjustment_id)),
                    toUnixTimestamp64Micro(accept_time),
                    toInt64OrDefault(details['amount_tax_micros'], -1::Int64),
                    toInt64OrDefault(details['amount_shipping_micros'], -1::Int64),
                    toInt64OrDefault(details['amount_cost_of_goods_micros'], -1::Int64),
                    if(
                        own_click_id = '',
                        0::UInt64,
                        xxHash64(concat(
                            substring(own_click_id, 1, position(own_click_id, '=') - 1),
                            ':',
                            substring(own_click_id, position(own_click_id, '=') + 1)
                        ))
                    )
                ),
                /*part*/
            ) AS part,
            e.kind = 'conversion' AND (
                digest(e.conversion_id) IN (/*severed*/)
                OR (
                    /*is_first*/
                    AND digest(concat(
                        'first:',
                        toString(lengthUTF8(conversion_name)),
                        ':',
                        conversion_name,
                        ':',
                        toString(lengthUTF8(store)),
                        ':',
                        store,
                        ':',
                        order_id
                    )) IN (/*severed*/)
                )
            ) AS tells_again
        FROM
        (
            SELECT
                *,
                if(session_id = '', 0, xxHash64(session_id)) AS session,
                if(conversion_id = '', details['target_conversion_id'], conversion_id) AS named,
                arrayFirst(
                    line -> splitByChar('=', line)[1] NOT IN %(not_one_click)s,
                    splitByChar('\n', details['own_click_ids'])
                ) AS own_click_id
            FROM events FINAL
            PREWHERE kind IN ('conversion', 'adjustment')
                AND (
                    conversion_id IN (/*named*/)
                    OR (
                        kind = 'adjustment'
                        AND (
                            details['target_conversion_id'] IN (/*named*/)
                            OR details['target_event_id'] IN
                            (
                                SELECT event_id
                                FROM events
                                PREWHERE conversion_id IN (/*named*/)
                                WHERE workspace = %(workspace)s
                                    AND kind = 'conversion'
                            )
                        )
                    )
                )
            WHERE workspace = %(workspace)s
                AND verdict != 'QUARANTINED'
                AND NOT startsWith(conversion_id, 's1:')
        ) AS e
        LEFT JOIN
        (
            SELECT
                event_id AS target,
                any(conversion_id) AS order_of
            FROM events
            PREWHERE conversion_id IN (/*named*/)
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
            GROUP BY event_id
        ) AS t ON t.target = e.details['target_event_id']
        UNION ALL
        SELECT
            conversion_id AS own_id,
            CAST(
                (
                    time,
                    hash,
                    event_id,
                    0,
                    0,
                    has_amount,
                    amount_micros,
                    currency,
                    0,
                    0,
                    '',
                    '',
                    '',
                    []::Array(String),
                    kind,
                    identity,
                    accept_time,
                    tax_micros,
                    shipping_micros,
                    cost_of_goods_micros,
                    0
                ),
                /*part*/
            ) AS part,
            0 AS tells_again
        FROM order_changes FINAL
        WHERE workspace = %(workspace)s
            AND conversion_id IN (/*named*/)
            AND NOT is_share
    ),
    parts AS
    (
        SELECT
            arrayJoin(arrayConcat(
                [(p.own_id, false, false, 0::Int64)],
                if(l.lends_to != '', [(l.lends_to, true, false, 0::Int64)], []),
                if(p.part.is_observation, [], h.shares)
            )) AS whose,
            whose.1 AS conversion_id,
            whose.2 AS is_lent,
            if(
                whose.3,
                CAST(
                    (
                        p.part.time,
                        p.part.hash,
                        p.part.event_id,
                        0,
                        p.part.is_internal,
                        1,
                        whose.4,
                        p.part.currency,
                        p.part.rank,
                        p.part.session,
                        p.part.name,
                        p.part.store,
                        p.part.order_id,
                        p.part.tokens,
                        p.part.kind,
                        p.part.identity,
                        p.part.accept_time,
                        -1,
                        -1,
                        -1,
                        p.part.own_click
                    ),
                    /*part*/
                ),
                p.part
            ) AS part,
            p.tells_again AND NOT is_lent AS tells_again
        FROM own_parts AS p
        LEFT JOIN lent AS l ON l.conversion_id = p.own_id
        LEFT JOIN
        (
            SELECT
                event_id,
                groupArray((conversion_id, true, is_part, amount_micros)) AS shares
            FROM reconciliation_shares FINAL
            WHERE reconciliation_id = %(run)s
            GROUP BY event_id
        ) AS h ON h.event_id = p.part.event_id
        UNION ALL
        SELECT
            (l.lends_to, true, false, 0::Int64) AS whose,
            whose.1 AS conversion_id,
            whose.2 AS is_lent,
            CAST(
                (
                    s.time,
                    s.hash,
                    s.conversion_id,
                    1,
                    0,
                    1,
                    s.original_micros,
                    s.currency,
                    s.source_rank,
                    0,
                    s.name,
                    s.store,
                    '',
                    []::Array(String),
                    'RESTATEMENT',
                    '',
                    s.accept_time,
                    -1,
                    -1,
                    -1,
                    0
                ),
                /*part*/
            ) AS part,
            0 AS tells_again
        FROM stand_ins AS s FINAL
        INNER JOIN lent AS l ON l.conversion_id = s.conversion_id
        WHERE s.workspace = %(workspace)s
            AND s.role = 5
            AND s.revised != ''
            AND s.currency != ''
    ),
    with_each AS
    (
        SELECT
            conversion_id,
            arraySort(groupArrayIf(part, part.is_observation AND NOT is_lent)) AS every,
            groupArrayIf(part, part.is_observation AND is_lent AND NOT part.is_internal) AS lent_values,
            arraySort(groupArrayIf(part, NOT part.is_observation AND NOT part.is_internal)) AS reports,
            max(part.accept_time) AS accept_time,
            max(tells_again) AS is_severed
        FROM parts
        WHERE conversion_id IN (/*named*/)
        GROUP BY conversion_id
        HAVING notEmpty(every)
    ),
    with_seen AS
    (
        SELECT
            conversion_id,
            every,
            accept_time,
            is_severed,
            arrayFilter(o -> NOT o.is_internal, every) AS good,
            empty(good) AS is_internal,
            if(is_internal, every, good) AS seen,
            arraySort(arrayConcat(seen, lent_values)) AS valuing,
            arrayFilter(
                (a, at) -> arrayFirstIndex(b -> b.kind = a.kind AND b.identity = a.identity, reports) = at,
                reports,
                arrayEnumerate(reports)
            ) AS each_once
        FROM with_each
    ),
    with_facts AS
    (
        SELECT
            conversion_id,
            accept_time,
            is_internal,
            is_severed,
            each_once,
            seen[1].time AS time,
            seen[1].hash AS hash,
            seen[1].name AS name,
            seen[1].store AS store,
            seen[1].order_id AS order_id,
            arrayFirst(o -> o.session != 0, seen).session AS session,
            arrayMap(o -> (o.time, o.hash, o.own_click), arrayFilter(o -> o.own_click != 0, seen)) AS own_clicks,
            arrayMap(o -> o.event_id, seen) AS observations,
            arraySort(
                o -> (arrayMap(t -> /*telling*/, o.tokens)[1].1, o.time, o.hash),
                arrayFilter(o -> notEmpty(o.tokens), every)
            )[1].tokens AS tokens,
            arrayFirst(
                o -> o.has_amount AND o.rank = arrayMax(x -> if(x.has_amount, x.rank, 0), valuing),
                valuing
            ) AS valued_by,
            transform(toString(name), %(default_names)s, %(default_micros)s, 0) AS default_micros,
            transform(toString(name), %(default_names)s, %(default_currencies)s, '') AS default_currency
        FROM with_seen
    ),
    with_pinned AS
    (
        SELECT
            g.* EXCEPT (default_micros, default_currency),
            if(b.is_stored, b.stored_default_micros, g.default_micros) AS default_micros,
            if(b.is_stored, b.stored_default_currency, g.default_currency) AS default_currency,
            if(
                b.is_stored,
                toString(b.stored_basis),
                transform(toString(name), %(basis_names)s, %(bases)s, '')
            ) AS basis
        FROM with_facts AS g
        LEFT JOIN
        (
            SELECT
                conversion_id AS stored_id,
                value_basis AS stored_basis,
                value_source IN ('DEFAULT', 'RESTATED') AS has_default,
                if(has_default, original_value_micros, 0) AS stored_default_micros,
                if(has_default, toString(currency), '') AS stored_default_currency,
                1::UInt8 AS is_stored
            FROM conversions FINAL
            PREWHERE conversion_id IN (/*named*/)
            WHERE workspace = %(workspace)s
                AND conversion_time >= fromUnixTimestamp64Micro(%(stored_begin)s, 'UTC')
                AND conversion_time < fromUnixTimestamp64Micro(%(stored_end)s, 'UTC')
                AND (value_basis != '' OR has_default OR %(has_bases)s OR %(has_defaults)s)
        ) AS b ON b.stored_id = g.conversion_id
    ),
    with_currency AS
    (
        SELECT
            * EXCEPT (default_micros, default_currency),
            if(valued_by.has_amount, toInt64(valued_by.amount), default_micros) AS original,
            toUInt8(valued_by.has_amount OR default_currency != '') AS has_original,
            if(valued_by.has_amount, valued_by.currency, default_currency) AS stated_currency,
            if(
                stated_currency = '',
                arrayLast(a -> a.kind = 'RESTATEMENT', each_once).currency,
                stated_currency
            ) AS currency
        FROM with_pinned
    ),
    with_adjustments AS
    (
        SELECT
            *,
            arrayFilter(a -> currency = '' OR a.currency IN ('', currency), each_once) AS adjustments
        FROM with_currency
    ),
    with_parts AS
    (
        SELECT
            *,
            basis != '' AS takes_tax,
            basis IN ('NET_OF_TAX_AND_SHIPPING', 'MARGIN') AS takes_shipping,
            basis = 'MARGIN' AS takes_cost,
            arrayPushFront(adjustments, valued_by) AS priced,
            arrayMap(
                part -> toUInt8(
                    (takes_tax AND part.tax < 0) OR (takes_shipping AND part.shipping < 0) OR (takes_cost AND part.cost < 0)
                ),
                priced
            ) AS lacks
        FROM with_adjustments
    ),
    without_parts AS
    (
        SELECT
            *,
            arrayMap(
                (part, lacks_some) -> if(
                    lacks_some,
                    part.amount,
                    greatest(
                        part.amount - if(takes_tax, part.tax, 0) - if(takes_shipping, part.shipping, 0),
                        least(part.amount, 0)
                    ) - if(takes_cost, part.cost, 0)
                )::Int128,
                priced,
                lacks
            ) AS nets
        FROM with_parts
    ),
    taken_off AS
    (
        SELECT
            * EXCEPT (priced, lacks, nets),
            arrayFold(
                (state, part, net, lacks_some) -> multiIf(
                    part.kind = 'RESTATEMENT',
                    (part.amount, 1::UInt8, 0::Int128, 0::Int128, 0::Int128, 0::UInt8, net, lacks_some),
                    part.kind = 'RETRACTION',
                    (state.1, state.2, state.3, state.4, state.5, 1::UInt8, state.7, state.8),
                    NOT state.2,
                    state,
                    part.kind = 'REVERSAL' AND NOT part.has_amount,
                    (state.1, state.2, 0::Int128, 0::Int128, 0::Int128, state.6, state.7, state.8),
                    NOT part.has_amount,
                    (
                        state.1,
                        state.2,
                        state.3 + greatest(state.1 - state.3 - state.4, 0::Int128),
                        state.4,
                        state.5,
                        state.6,
                        state.7,
                        state.8
                    ),
                    state.8 OR NOT lacks_some,
                    (
                        state.1,
                        state.2,
                        state.3,
                        state.4 + if(part.kind = 'REVERSAL', -part.amount, part.amount),
                        state.5 + if(part.kind = 'REVERSAL', -1, 1) * if(state.8, part.amount, net),
                        state.6,
                        state.7,
                        state.8
                    ),
                    (
                        state.1,
                        state.2,
                        state.3 + if(part.kind = 'REVERSAL', -part.amount, part.amount),
                        state.4,
                        state.5,
                        state.6,
                        state.7,
                        state.8
                    )
                ),
                adjustments,
                arrayPopFront(nets),
                arrayPopFront(lacks),
                (
                    toInt128(original),
                    has_original,
                    0::Int128,
                    0::Int128,
                    0::Int128,
                    0::UInt8,
                    if(valued_by.has_amount, nets[1], toInt128(original)),
                    toUInt8(NOT valued_by.has_amount OR lacks[1])
                )
            ) AS adjusted
        FROM without_parts
    ),
    credited AS
    (
        SELECT
            *,
            adjusted.1 - adjusted.3 - adjusted.4 AS left_micros,
            multiIf(
                left_micros = adjusted.1, adjusted.7,
                adjusted.1 <= 0, adjusted.7 - adjusted.3 - adjusted.5,
                adjusted.7 - intDiv(adjusted.7 * adjusted.3, adjusted.1) - adjusted.5
            ) AS credited_micros
        FROM taken_off
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
    toInt64(multiIf(
        NOT adjusted.2 OR adjusted.6 OR left_micros < 0 OR (left_micros = 0 AND adjusted.1 > 0), 0,
        basis = 'MARGIN', credited_micros,
        greatest(credited_micros, 0)
    )),
    NOT is_internal AND NOT adjusted.6 AND NOT is_severed,
    adjusted.6,
    is_internal,
    observations,
    tokens,
    accept_time,
    own_clicks,
    (time >= %(begin)s AND time < %(end)s)
        OR (%(with_changes)s AND conversion_id IN (/*named*/))
FROM credited AS c
LEFT JOIN
(
    SELECT
        identity_token,
        person
    FROM reconciliation_people FINAL
    WHERE reconciliation_id = %(run)s
) AS p ON p.identity_token = c.tokens[1]
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1,
    max_bytes_before_external_group_by = %(spill)s,
    min_insert_block_size_rows = %(insert_rows)s, min_insert_block_size_bytes = %(insert_bytes)s
