-- Credits the conversions of one slice of people again, from the numbers that were read of the raw events, and compares
-- with what is stored. One row per conversion that differs; what agrees never leaves ClickHouse.
-- Each under the settings that it was credited under, as long as their text is known; `compare` is asked once for each.
-- A stage of a lead is credited at the place of its root, a renewal at that of the first payment; unless that is one whose
-- person was erased (`compare_frozen`). Whose window there begins before touches are kept, its credit is left; not what its own events say.
-- Step by step: the journey up to the conversion, sessions, touches, the window of each model, weights, exact shares
-- (largest remainder, ties in event order), and at last the stored row beside them.
-- A path that an order ended began anew at the order's place: that of its earliest observation, of those that count if any does.
-- None was ended by what was taken back, nor that of an order by what else is told of it.
-- What a lambda takes from outside is laid out once per element: numbers only, never an array; that would take n x n.
WITH
    conversions_to_credit AS
    (
        SELECT
            c.conversion_id AS conversion_id,
            c.credited_person AS person,
            c.credited_time AS time,
            c.credited_hash AS hash,
            c.credited_session AS session,
            c.is_internal AS is_internal,
            if(c.is_lost, 0, c.value_micros) AS value_micros,
            c.tokens AS tokens,
            (
                c.name,
                c.store,
                c.order_id,
                c.time,
                c.currency,
                if(c.is_lost, 0, c.value_micros),
                c.original_micros,
                c.counted AND NOT c.is_superseded AND NOT c.is_lost,
                c.retracted OR c.is_lost,
                arraySort(c.observations)
            ) AS facts,
            c.credited_time - %(history)s >= %(retained_since)s AS is_whole,
            j.entries AS entries,
            j.resets AS resets,
            s.revision AS stored_revision,
            s.stored_facts AS stored_facts,
            s.touches AS stored_touches,
            s.is_damaged AS is_damaged,
            s.shown AS stored_shown,
            s.credits AS stored_credits,
            s.amounts AS stored_amounts
        FROM
        (
            SELECT
                r.*,
                f.is_superseded AS is_superseded,
                f.is_lost AS is_lost,
                f.accept_time AS family_accept_time,
                if(f.is_settled, f.slice, r.slice) AS credited_slice,
                if(f.is_settled, f.person, r.person) AS credited_person,
                if(f.is_settled, f.time, r.time) AS credited_time,
                if(f.is_settled, f.hash, r.hash) AS credited_hash,
                if(f.is_settled, f.session, r.session) AS credited_session
            FROM
            (
                SELECT *
                FROM reconciliation_conversions FINAL
                WHERE reconciliation_id = %(run)s
                    AND is_compared
            ) AS r
            LEFT JOIN
            (
                SELECT *
                FROM reconciliation_families FINAL
                WHERE reconciliation_id = %(run)s
                    AND is_settled
            ) AS f ON f.conversion_id = r.conversion_id
            WHERE f.frozen_at = ''
                AND credited_slice = %(slice)s
        ) AS c
        LEFT JOIN
        (
            /*journeys*/
        ) AS j ON j.person = c.credited_person
        LEFT JOIN
        (
            /*stored*/
        ) AS s ON s.conversion_id = c.conversion_id
        WHERE greatest(c.accept_time, c.family_accept_time, j.newest_accept_time) <= %(settled)s
            AND s.publish_micros <= %(staged)s
            AND if(
                s.stored_version IN %(versions)s,
                s.stored_version IN %(own_versions)s,
                c.credited_time >= %(begin)s AND c.credited_time < %(end)s
            )
    ),
    with_candidates AS
    (
        SELECT
            * EXCEPT (entries, resets),
            arrayFilter(
                entry -> entry.time <= time + %(late)s
                    AND (entry.time >= time - %(history)s OR entry.click != 0 OR entry.interaction != 0)
                    AND bitAnd(entry.flags, 10) = 0
                    AND NOT (%(ignores_seen)s AND entry.kind IN (3, 4, 5))
                    AND (is_internal OR bitAnd(entry.flags, 16) = 0),
                entries
            ) AS candidates,
            arrayFirst(reset -> reset.time = time AND reset.hash = hash, resets).conversion AS own_conversion,
            arrayFilter(
                reset -> reset.time >= time - %(history)s
                    AND (reset.time, reset.hash) < (time, hash)
                    AND reset.conversion != own_conversion
                    AND (is_internal OR NOT reset.is_internal),
                resets
            ) AS observed,
            arrayMap(
                reset -> (reset.time, reset.hash),
                arrayFilter((reset, nth) -> nth = 1, observed, arrayEnumerateUniq(observed.conversion))
            ) AS ended,
            arrayReduce(
                'max',
                arrayPushBack(ended, (-1::Int64, 0::UInt64))
            ) AS path_start
        FROM conversions_to_credit
    ),
    with_looked_at AS
    (
        SELECT
            * EXCEPT (candidates, own_conversion, observed, ended),
            if(
                length(candidates) <= %(event_cap)s,
                candidates,
                arrayFilter(
                    (entry, newer) -> newer < %(event_cap)s
                        OR (newer = %(event_cap)s AND entry.kind NOT IN (3, 4, 5)),
                    candidates,
                    arrayReverse(arrayCumSum(entry -> entry.kind NOT IN (3, 4, 5), arrayReverse(candidates)))
                )
            ) AS looked_at
        FROM with_candidates
    ),
    with_recent AS
    (
        SELECT
            * EXCEPT (looked_at),
            arrayFilter(entry -> entry.time >= time - %(history)s, looked_at) AS recent,
            arrayFilter(
                entry -> entry.time < time - %(history)s AND entry.kind NOT IN (3, 4, 5),
                looked_at
            ) AS old
        FROM with_looked_at
    ),
    with_own AS
    (
        SELECT
            *,
            CAST((time, hash, 7, 0, 0, 0, 0, 0, session, 0), /*entry*/) AS own_entry,
            if(
                arrayExists(entry -> entry.time > time, recent),
                arraySort(arrayPushBack(recent, own_entry)),
                []
            ) AS own
        FROM with_recent
    ),
    with_own_sessions AS
    (
        SELECT
            *,
            arrayFold(
                /*session_step*/,
                own,
                /*no_session*/
            ).1 AS own_sessions
        FROM with_own
    ),
    with_own_session AS
    (
        SELECT
            *,
            own_sessions[arrayFirstIndex(entry -> entry.hash = hash AND entry.source = 0 AND entry.kind = 7, own)]
                AS own_session,
            indexOf(own, own_entry) AS own_at
        FROM with_own_sessions
    ),
    with_eligible AS
    (
        SELECT
            * EXCEPT (recent, own_entry, own, own_sessions, own_session, own_at),
            if(
                empty(own),
                recent,
                arrayFilter(
                    (entry, of, at) -> at != own_at AND (entry.time <= time OR of = own_session),
                    own,
                    own_sessions,
                    arrayEnumerate(own)
                )
            ) AS eligible,
            if(%(folds)s, eligible, []) AS to_fold
        FROM with_own_session
    ),
    with_known AS
    (
        SELECT
            * EXCEPT (old),
            arrayUniq(old.click) AS old_clicks,
            arrayUniq(old.interaction) AS old_interactions,
            arrayEnumerateDense(arrayConcat(old.click, to_fold.click)) AS clicks,
            arrayEnumerateDense(arrayConcat(old.interaction, to_fold.interaction)) AS interactions
        FROM with_eligible
    ),
    with_sessions AS
    (
        SELECT
            * EXCEPT (old_clicks, old_interactions, clicks, interactions),
            arrayFold(
                /*session_step*/,
                to_fold,
                /*no_session*/
            ).1 AS sessions,
            arrayMap(
                (entry, click, interaction) -> toUInt8(
                    (entry.click != 0 AND click <= old_clicks)
                        OR (entry.interaction != 0 AND interaction <= old_interactions)
                ),
                to_fold,
                arraySlice(clicks, length(clicks) - length(to_fold) + 1),
                arraySlice(interactions, length(interactions) - length(to_fold) + 1)
            ) AS are_old
        FROM with_known
    ),
    with_folded AS
    (
        SELECT
            *,
            arrayFold(
                /*touch_step*/,
                to_fold,
                sessions,
                are_old,
                (
                    []::Array(UInt32),
                    []::Array(UInt64),
                    []::Array(UInt64),
                    []::Array(UInt64),
                    []::Array(UInt8),
                    []::Array(UInt64),
                    []::Array(UInt64),
                    []::Array(UInt8)
                )
            ) AS folded
        FROM with_sessions
    ),
    with_touches AS
    (
        SELECT
            * EXCEPT (eligible, to_fold, sessions, are_old, folded),
            arrayFilter(
                touch -> (touch.time, touch.hash) > path_start,
                if(
                    %(folds)s,
                    arrayMap(
                        (entry, source, shown, flags) -> CAST(
                            (entry.time, entry.hash, entry.kind, source, shown, flags),
                            /*touch*/
                        ),
                        arrayFilter(
                            (entry, place, nth) -> place != 0 AND nth = 1,
                            to_fold,
                            folded.1,
                            arrayEnumerateUniq(folded.1)
                        ),
                        folded.6,
                        folded.7,
                        folded.8
                    ),
                    arrayMap(
                        entry -> CAST(
                            (entry.time, entry.hash, entry.kind, entry.source, entry.shown, bitAnd(entry.flags, 129)),
                            /*touch*/
                        ),
                        arrayFilter(entry -> bitAnd(entry.flags, 4) = 0 AND entry.kind != 7, eligible)
                    )
                )
            ) AS touches
        FROM with_folded
    ),
    by_model AS
    (
        SELECT
            * EXCEPT (touches),
            model_at,
            model,
            arrayFilter(touch -> touch.time >= time - lookback, touches) AS reached
        FROM with_touches
        ARRAY JOIN
            arrayEnumerate(%(models)s) AS model_at,
            %(models)s AS model,
            %(lookbacks)s AS lookback
    ),
    with_permitted AS
    (
        SELECT
            * EXCEPT (reached),
            if(
                %(ignores_seen)s,
                reached,
                arrayFilter(
                    (touch, has_click) -> touch.kind NOT IN (3, 4, 5)
                        OR (touch.time >= time - %(view_window)s AND NOT has_click),
                    reached,
                    arrayWithConstant(
                        length(reached),
                        %(only_without_click)s
                            AND arrayExists(touch -> touch.kind NOT IN (3, 4, 5) AND bitAnd(touch.flags, 1) = 0, reached)
                    )
                )
            ) AS permitted
        FROM by_model
    ),
    with_unrepeated AS
    (
        SELECT
            * EXCEPT (permitted),
            arrayFilter(
                (touch, newer) -> touch.kind NOT IN (3, 4, 5) OR newer <= %(impression_cap)s,
                permitted,
                arrayReverse(arrayCumSum(touch -> touch.kind IN (3, 4, 5), arrayReverse(permitted)))
            ) AS uncollapsed,
            if(
                %(collapse)s,
                arrayFilter(
                    (touch, source_before, at) -> at = 1 OR source_before != touch.source,
                    uncollapsed,
                    arrayPopBack(arrayPushFront(arrayMap(touch -> touch.source, uncollapsed), 0)),
                    arrayEnumerate(uncollapsed)
                ),
                uncollapsed
            ) AS unrepeated
        FROM with_permitted
    ),
    with_window AS
    (
        SELECT
            * EXCEPT (unrepeated, uncollapsed),
            if(
                length(unrepeated) <= %(touch_cap)s,
                unrepeated,
                arrayFilter(
                    (touch, older, newer) -> touch.kind IN (3, 4, 5)
                        OR older <= %(touch_cap_first)s
                        OR newer <= %(touch_cap)s - %(touch_cap_first)s,
                    unrepeated,
                    arrayCumSum(touch -> touch.kind NOT IN (3, 4, 5), unrepeated),
                    arrayReverse(arrayCumSum(touch -> touch.kind NOT IN (3, 4, 5), arrayReverse(unrepeated)))
                )
            ) AS window,
            length(window) AS n
        FROM with_unrepeated
    ),
    with_weights AS
    (
        SELECT
            *,
            CAST(
                multiIf(
                    model = 'first_touch',
                    arrayMap(at -> toInt128(at = 1), arrayEnumerate(window)),
                    model = 'last_touch',
                    arrayMap(at -> toInt128(at = n), arrayEnumerate(window)),
                    model = 'last_non_direct',
                    arrayMap(
                        (at, last_named) -> toInt128(at = if(last_named = 0, n, last_named)),
                        arrayEnumerate(window),
                        arrayWithConstant(n, arrayLastIndex(touch -> bitAnd(touch.flags, %(passed_over)s) = 0, window))
                    ),
                    model = 'linear',
                    arrayMap(touch -> toInt128(1), window),
                    model = 'position_based',
                    arrayMap(
                        at -> toInt128(multiIf(
                            n = 1 OR (n = 2 AND %(first_weight)s + %(last_weight)s = 0), 1,
                            at = 1, %(first_weight)s * if(n = 2, 1, n - 2),
                            at = n, %(last_weight)s * if(n = 2, 1, n - 2),
                            %(middle_weight)s
                        )),
                        arrayEnumerate(window)
                    ),
                    arrayMap(
                        exponent -> toInt128(bitShiftRight(
                            toUInt128(/*power_of_half_high*/) * toUInt128(/*power_of_half_low*/),
                            62 + least(toUInt64(bitShiftRight(exponent, 24)), 63)
                        )),
                        arrayMap(
                            (touch, newest) -> intDiv(
                                bitShiftLeft(toUInt128(newest - touch.time), 25) + toUInt128(%(half_life)s),
                                toUInt128(2) * toUInt128(%(half_life)s)
                            ),
                            window,
                            arrayWithConstant(n, window[n].time)
                        )
                    )
                ),
                'Array(Int128)'
            ) AS weights
        FROM with_window
    ),
    with_total AS
    (
        SELECT
            *,
            arraySum(weights) AS total,
            toInt128(abs(toInt128(value_micros))) AS whole
        FROM with_weights
    ),
    with_floors AS
    (
        SELECT
            *,
            arrayMap(weight -> intDiv(toInt128(1000000) * weight, total), weights) AS credit_floors,
            arrayMap(weight -> intDiv(whole * weight, total), weights) AS value_floors,
            arraySort(
                (at, weight) -> (-(toInt128(1000000) * weight %% total), at),
                arrayEnumerate(weights),
                weights
            ) AS credit_order,
            arraySort((at, weight) -> (-(whole * weight %% total), at), arrayEnumerate(weights), weights) AS value_order
        FROM with_total
    ),
    with_shares AS
    (
        SELECT
            * EXCEPT (stored_touches, stored_shown, stored_credits, stored_amounts),
            arrayFilter(
                share -> share.3 != 0 OR share.4 != 0,
                if(
                    empty(weights),
                    [('', 0::UInt64, 1000000::Int64, value_micros)],
                    arrayMap(
                        (touch, credit, value, credit_place, value_place, credit_left, value_left) -> (
                            concat('x1:', leftPad(lower(hex(touch.hash)), 16, '0')),
                            touch.shown,
                            toInt64(credit + (credit_place <= credit_left)),
                            toInt64(sign(value_micros) * (value + (value_place <= value_left)))
                        ),
                        window,
                        credit_floors,
                        value_floors,
                        arraySort((at, place) -> place, arrayEnumerate(weights), credit_order),
                        arraySort((at, place) -> place, arrayEnumerate(weights), value_order),
                        arrayWithConstant(n, toInt128(1000000) - arraySum(credit_floors)),
                        arrayWithConstant(n, whole - arraySum(value_floors))
                    )
                )
            ) AS shares,
            arrayConcat(
                arrayFilter(
                    share -> share.3 != 0 OR share.4 != 0,
                    arrayMap(
                        (touch, shown, credit, value)
                            -> (touch, if(touch = '', 0::UInt64, shown), toInt64(credit), toInt64(value)),
                        if(empty(stored_credits), [], stored_touches),
                        if(empty(stored_credits), [], stored_shown),
                        if(empty(stored_credits), [], stored_credits[model_at]),
                        if(empty(stored_credits), [], stored_amounts[model_at])
                    )
                ),
                if(is_damaged, [('', 0::UInt64, 0::Int64, 0::Int64)], [])  -- which no credit is
            ) AS stored_shares
        FROM with_floors
    )
SELECT
    conversion_id,
    any(time) AS conversion_time,
    any(tokens) AS identity_tokens,
    any(stored_revision) AS revision,
    any(facts) AS expected_facts,
    any(stored_facts) AS actual_facts,
    groupArrayIf((model, shares, stored_shares), is_whole AND shares != stored_shares) AS credits,
    arrayDistinct(arrayFlatten(groupArrayIf(arrayMap(share -> share.1, shares), is_whole))) AS expected_touches,
    arrayDistinct(arrayFlatten(groupArrayIf(arrayMap(share -> share.1, stored_shares), is_whole))) AS actual_touches
FROM with_shares
GROUP BY conversion_id
HAVING notEmpty(credits) OR expected_facts != actual_facts
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 2048, join_algorithm = 'hash'
