-- Of the stripped events of an erasure's conversions, by what is left of these: which are called erased though the conversion
-- was severed, and which a conversion though it never was one. One that was under way as the erasure began may have been
-- published only after its event was stripped, or not at all. What is in quarantine observes none.
SELECT
    groupUniqArrayIf(e.conversion_id, e.kind = 'erased' AND c.is_severed),
    groupUniqArrayIf(e.conversion_id, e.kind = 'conversion' AND NOT c.is_severed)
FROM
(
    SELECT
        conversion_id,
        kind
    FROM events
    PREWHERE conversion_id IN
    (
        SELECT concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), arrayJoin(%(conversions)s)))))
    )
    WHERE workspace = %(workspace)s
        AND kind IN ('conversion', 'erased')
        AND verdict != 'QUARANTINED'
) AS e
INNER JOIN
(
    SELECT
        concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), id)))) AS stripped,
        concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), id)))) IN
        (
            SELECT conversion_id
            FROM conversions
            WHERE workspace = %(workspace)s
                AND conversion_id IN
                (
                    SELECT concat('s1:', lower(hex(sipHash128Keyed(
                        (toUInt64(%(first)s), toUInt64(%(second)s)),
                        arrayJoin(%(conversions)s)
                    ))))
                )
        ) AS is_severed
    FROM (SELECT arrayJoin(%(conversions)s) AS id)
) AS c ON c.stripped = e.conversion_id
