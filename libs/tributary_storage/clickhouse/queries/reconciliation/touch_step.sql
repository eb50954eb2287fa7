-- One entry more: (of each entry so far its touch, session, click, interaction and kind; of each touch its source, what
-- is shown of it, its flags: 1 direct, 128 passed over). Touches are numbered from 1; 0 is none.
-- The same click or interaction is one touch: within its session, or where a visit follows its click. An old id is a
-- direct return. A direct event in a session with a touch joins its oldest; another joins the session's oldest touch of
-- its source. A direct touch takes the source of the first event of its interaction that has one. Off site, the same
-- kind and id are one. A value that is used twice is the one element of an array, so that it is computed once.
(state, entry, session, is_old) -> if(
    bitAnd(entry.flags, 4) != 0 OR entry.kind = 7,
    (
        arrayPushBack(state.1, 0::UInt32),
        arrayPushBack(state.2, 0::UInt64),
        arrayPushBack(state.3, 0::UInt64),
        arrayPushBack(state.4, 0::UInt64),
        arrayPushBack(state.5, 0::UInt8),
        state.6,
        state.7,
        state.8
    ),
    arrayMap(
        found -> (
            arrayPushBack(state.1, if(found.1 = 0, toUInt32(length(state.6) + 1), found.1)),
            arrayPushBack(state.2, session),
            arrayPushBack(state.3, entry.click),
            arrayPushBack(state.4, entry.interaction),
            arrayPushBack(state.5, entry.kind),
            multiIf(
                found.1 = 0,
                arrayPushBack(state.6, if(found.2 = 1, 0::UInt64, entry.source)),
                found.2 = 2 AND bitAnd(state.8[found.1], 1) = 1,
                arrayMap((source, at) -> if(at = found.1, entry.source, source), state.6, arrayEnumerate(state.6)),
                state.6
            ),
            multiIf(
                found.1 = 0,
                arrayPushBack(state.7, if(found.2 = 1, %(plain_direct)s::UInt64, entry.shown)),
                found.2 = 2 AND bitAnd(state.8[found.1], 1) = 1,
                arrayMap((shown, at) -> if(at = found.1, entry.shown, shown), state.7, arrayEnumerate(state.7)),
                state.7
            ),
            multiIf(
                found.1 = 0,
                arrayPushBack(state.8, if(found.2 = 1, 1::UInt8, toUInt8(bitAnd(entry.flags, 129)))),
                found.2 = 2 AND bitAnd(state.8[found.1], 1) = 1,
                arrayMap((flags, at) -> if(at = found.1, toUInt8(bitAnd(entry.flags, 129)), flags), state.8, arrayEnumerate(state.8)),
                state.8
            )
        ),
        arrayMap(
            seen_at -> multiIf(
                session = 0,
                (
                    toUInt32(if(
                        entry.interaction = 0 AND entry.click = 0,
                        0,
                        arrayFirst(
                            (place, of, kind, click, interaction) -> place != 0
                                AND of = 0
                                AND kind = entry.kind
                                AND if(interaction != 0, interaction, click)
                                    = if(entry.interaction != 0, entry.interaction, entry.click),
                            state.1,
                            state.2,
                            state.5,
                            state.3,
                            state.4
                        )
                    )),
                    0::UInt8
                ),
                seen_at != 0
                    AND (
                        state.2[seen_at] = session
                        OR (
                            entry.kind = 1
                            AND NOT arrayExists(
                                (place, kind, of) -> place = state.1[seen_at] AND kind = 1 AND of != 0,
                                state.1,
                                state.5,
                                state.2
                            )
                        )
                    ),
                (state.1[seen_at], if(bitAnd(entry.flags, 1) = 0, 2::UInt8, 0::UInt8)),
                seen_at != 0
                    OR bitAnd(entry.flags, 1) != 0
                    OR is_old
                    OR (entry.click_time > 0 AND entry.time - entry.click_time > 86400000000),
                (
                    arrayMin(arrayFilter((place, of) -> place != 0 AND of = session, state.1, state.2)),
                    if(
                        seen_at != 0
                            OR is_old
                            OR (entry.click_time > 0 AND entry.time - entry.click_time > 86400000000),
                        1::UInt8,
                        0::UInt8
                    )
                ),
                (
                    arrayMin(arrayIntersect(
                        arrayFilter((place, of) -> place != 0 AND of = session, state.1, state.2),
                        arrayFilter((at, source) -> source = entry.source, arrayEnumerate(state.6), state.6)
                    )),
                    0::UInt8
                )
            ),
            [if(
                session = 0,
                0,
                arrayFirst(
                    at -> at != 0,
                    [
                        arrayLastIndex(
                            (of, click) -> of != 0 AND click != 0 AND click = entry.click,
                            state.2,
                            state.3
                        ),
                        arrayLastIndex(
                            (of, interaction) -> of != 0 AND interaction != 0 AND interaction = entry.interaction,
                            state.2,
                            state.4
                        )
                    ]
                )
            )]
        )
    )[1]
)
