-- The random ids of conversions and of touches, as `sever_revisions` gives them.
SELECT
    arrayMap(
        id -> concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), id)))),
        %(conversions)s
    ),
    arrayMap(
        id -> sipHash64Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), id),
        %(touches)s
    )
