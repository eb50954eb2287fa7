-- Conversions of one slice of people that count, or do not, otherwise than the rule of their name says: one per person,
-- per session or per click, in event order, of those that are neither internal nor taken back, themselves, with their
-- lead, or as their order was told otherwise. The click of a conversion is the one that its earliest observation carries
-- whose person allowed that, else the newest before it; without one it is counted per session, and without a session
-- always. The latest stage of a lead counts for those that it supersedes, at the place of the earliest, and so does an
-- order for what was told of it without its cycle. Who had a conversion of the name that the run did not read may have
-- counted for it: there only what counts and should not is told.
-- Sessions and clicks are told by touches: where these are not kept any more, only what counts once per person is looked at.
WITH
    together AS
    (
        SELECT
            person,
            name,
            transform(toString(name), %(names)s, %(rules)s, '') AS rule,
            arraySort(groupArray(CAST(
                (
                    c.time,
                    c.hash,
                    c.conversion_id,
                    c.counted AND NOT f.is_lost AND NOT f.is_void,
                    c.own_clicks,
                    f.is_superseded,
                    f.hash,
                    f.takes_place,
                    c.is_compared
                ),
                'Tuple(time Int64, hash UInt64, id String, is_good UInt8, own_clicks Array(Tuple(Int64, UInt64, UInt64)), is_superseded UInt8, root UInt64, takes_place UInt8, is_compared UInt8)'
            ))) AS conversions,
            max(greatest(c.accept_time, f.accept_time)) AS newest
        FROM
        (
            SELECT *
            FROM reconciliation_conversions FINAL
            WHERE reconciliation_id = %(run)s
                AND slice = %(slice)s
                AND person != 0
                AND NOT is_internal
                AND name IN %(names)s
        ) AS c
        LEFT JOIN
        (
            SELECT *
            FROM reconciliation_families FINAL
            WHERE reconciliation_id = %(run)s
                AND is_settled
        ) AS f ON f.conversion_id = c.conversion_id
        GROUP BY
            person,
            name
    ),
    with_entries AS
    (
        SELECT
            t.*,
            arrayFilter(entry -> bitAnd(entry.flags, 26) = 0, j.entries) AS entries
        FROM together AS t
        LEFT JOIN
        (
            /*journeys*/
        ) AS j ON j.person = t.person
        WHERE greatest(t.newest, j.newest_accept_time) <= %(settled)s
    ),
    with_sessions AS
    (
        SELECT
            *,
            arrayFold(
                /*session_step*/,
                entries,
                /*no_session*/
            ).1 AS sessions
        FROM with_entries
    ),
    with_places AS
    (
        SELECT
            person,
            name,
            rule,
            conversions,
            arrayMap(
                (conversion, session, click) -> multiIf(
                    rule = 'once_per_person', ('person', 0::UInt64),
                    rule = 'once_per_click' AND click != 0, ('click', click),
                    session != 0, ('session', session),
                    ('', 0::UInt64)
                ),
                conversions,
                arrayMap(
                    conversion -> arrayFirst(
                        (session, entry) -> entry.time = conversion.time AND entry.hash = conversion.hash,
                        sessions,
                        entries
                    ),
                    conversions
                ),
                arrayMap(
                    (conversion, own_click) -> if(
                        own_click != 0,
                        own_click,
                        arrayMap(
                            entry -> if(entry.click != 0, entry.click, entry.hash),
                            [arrayLast(
                                entry -> (entry.time, entry.hash) <= (conversion.time, conversion.hash)
                                    AND (entry.click != 0 OR entry.kind = 2)
                                    AND entry.kind NOT IN (3, 4, 5, 7),
                                entries
                            )]
                        )[1]
                    ),
                    conversions,
                    arrayMap(
                        conversion -> arrayFirst(
                            own -> arrayExists(entry -> entry.time = own.1 AND entry.hash = own.2, entries),
                            conversion.own_clicks
                        ).3,
                        conversions
                    )
                )
            ) AS places
        FROM with_sessions
    ),
    with_repeats AS
    (
        SELECT
            person,
            name,
            rule,
            conversion,
            arrayFirstIndex(
                other -> other.id = conversion.id
                    OR (conversion.takes_place AND other.is_good AND other.is_superseded AND other.root = conversion.root),
                conversions
            ) AS at,
            places[at].1 != '' AND arrayExists(
                (place, other) -> place = places[at] AND other.is_good,
                arraySlice(places, 1, at - 1),
                arraySlice(conversions, 1, at - 1)
            ) AS is_repeat
        FROM with_places
        ARRAY JOIN conversions AS conversion
    )
SELECT
    conversion.id,
    is_repeat,
    s.reason
FROM with_repeats AS r
INNER JOIN
(
    SELECT
        conversion_id,
        counted AS is_counted,
        toString(not_counted_reason) AS reason,
        toString(settings_version) AS stored_version
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND name IN %(names)s
        AND conversion_time >= fromUnixTimestamp64Micro(%(stored_begin)s, 'UTC')
        AND conversion_time < fromUnixTimestamp64Micro(%(stored_end)s, 'UTC')
        AND toUnixTimestamp64Micro(publish_time) <= %(staged)s
        AND (counted OR startsWith(not_counted_reason, 'ONCE_PER_'))
) AS s ON s.conversion_id = r.conversion.id
LEFT JOIN
(
    SELECT
        if(p.person = 0, xxHash64(home), p.person) AS person,
        conversion_name AS name,
        1::UInt8 AS is_known
    FROM
    (
        SELECT
            /*home*/ AS home,
            conversion_name
        FROM events
        PREWHERE kind = 'conversion'
            AND arrayExists(t -> t IN (/*people*/), identity_tokens)
        WHERE workspace = %(workspace)s
            AND verdict != 'QUARANTINED'
            AND NOT startsWith(conversion_id, 's1:')
            AND conversion_name IN %(names)s
            AND notEmpty(identity_tokens)
            AND event_time < fromUnixTimestamp64Micro(%(run_end)s, 'UTC')
            AND conversion_id NOT IN
            (
                SELECT conversion_id
                FROM reconciliation_conversions
                WHERE reconciliation_id = %(run)s
            )
    ) AS e
    LEFT JOIN
    (
        SELECT
            identity_token,
            person
        FROM reconciliation_people FINAL
        WHERE reconciliation_id = %(run)s
    ) AS p ON p.identity_token = e.home
    GROUP BY
        person,
        name
) AS b ON b.person = r.person AND b.name = r.name
WHERE conversion.is_good
    AND conversion.is_compared
    AND (rule = 'once_per_person' OR conversion.time >= %(compared_since)s)
    AND if(
        s.stored_version IN %(versions)s,
        s.stored_version IN %(own_versions)s,
        conversion.time >= %(begin)s AND conversion.time < %(end)s
    )
    AND if(is_repeat, s.is_counted, NOT s.is_counted AND b.is_known = 0)
ORDER BY conversion.id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_block_size = 512
