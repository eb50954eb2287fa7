-- One entry more: (session, time and caller's name of each entry so far; the session active last, and until when).
-- A gap of the timeout begins another; entries that callers name differently are apart; one without a name joins the
-- session active last. What happened off site belongs to none. A value that is used twice is the one element of an
-- array, so that it is computed once.
(state, entry) -> if(
    entry.kind NOT IN (1, 2, 6, 7),
    (
        arrayPushBack(state.1, 0::UInt64),
        arrayPushBack(state.2, entry.time),
        arrayPushBack(state.3, 0::UInt64),
        state.4,
        state.5
    ),
    arrayMap(
        current -> (
            arrayPushBack(state.1, current),
            arrayPushBack(state.2, entry.time),
            arrayPushBack(state.3, entry.session),
            current,
            entry.time
        ),
        arrayMap(
            known -> multiIf(
                entry.session = 0,
                if(state.4 != 0 AND entry.time - state.5 < %(timeout)s, state.4, greatest(entry.hash, 1::UInt64)),
                known != 0 AND entry.time - arrayLast((time, id) -> id = known, state.2, state.1) < %(timeout)s,
                known,
                known = 0
                    AND state.4 != 0
                    AND entry.time - state.5 < %(timeout)s
                    AND NOT arrayExists((id, name) -> id = state.4 AND name != 0, state.1, state.3),
                state.4,
                NOT has(state.1, entry.session),
                entry.session,
                greatest(entry.hash, 1::UInt64)
            ),
            [arrayLast((id, name) -> name = entry.session AND id != 0, state.1, state.3)]
        )
    )[1]
)
