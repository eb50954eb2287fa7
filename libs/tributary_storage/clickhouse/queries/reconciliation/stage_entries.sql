-- Reads the journeys that the conversions of a run look at, as numbers: those of the people who have them. FINAL: an event
-- that was recorded twice is one; what is said before FINAL never changes of an event.
-- What is older than every window is needed for its click ids and interactions only: an id that was seen is an old one. Of
-- what is older than it is kept, a sighting says by which number the id goes. What was observed of an order that went with
-- its person stays in the journey of whoever observed it. An event belongs to its most telling identifier, and this one to
-- a person. Consent is what the event says; a grant that says when it was given, and an event that says nothing, go by the
-- person's last decision until then; without any by what is assumed of their region.
-- The source of an observation is its conversion, or by what one that went with its person is told from others; where
-- nobody kept that, an observation stands for itself. Where conversions end paths: one that was taken back says so (32), and
-- what is told of an order without its cycle is of the conversion that counts in its place (`told_as`). Which that is says
-- what is stored, and of those that the run has not read, what became of them, too: runs of their own days look at that.
-- Nothing of a run takes more memory: so identifiers are looked up by their hashes, in small blocks.
INSERT INTO reconciliation_entries
(
    reconciliation_id,
    slice,
    person,
    time,
    hash,
    kind,
    flags,
    source,
    shown,
    click,
    interaction,
    session,
    click_time,
    name,
    accept_time
)
SELECT
    %(run)s,
    person %% %(slices)s,
    person,
    time,
    hash,
    entry_kind,
    (is_touch AND channel_rule = 'direct' AND NOT continues_session)
        + 2 * (verdict = 'QUARANTINED')
        + 4 * (is_touch AND continues_session)
        + 8 * (
            multiIf(
                consent_analytics_storage = 'DENIED', 2,
                consent_analytics_storage = 'GRANTED' AND (consent_time = 0 OR consent_time > time), 1,
                decided > 0, decided,
                consent_analytics_storage = '' AND assumed_denied, 2,
                0
            ) = 2
        )
        + 16 * (traffic IN ('INTERNAL', 'TEST'))
        + 32 * (kind = 'conversion' AND is_taken_back),
    multiIf(
        is_touch, if(channel_rule = 'direct' AND shown = %(plain_direct)s, 0, cityHash64(shown, channel_rule)),
        entry_kind != 7, 1,
        conversion_id = '' OR startsWith(conversion_id, 's1:'),
            greatest(if(details['erased_order'] = '', hash, xxHash64(details['erased_order'])), 1),
        greatest(xxHash64(if(counts_as = '', conversion_id, counts_as)), 1)
    ),
    shown,
    click,
    interaction,
    if(session_id = '', 0, xxHash64(session_id)),
    if(click_at = 0, 0, toInt64OrZero(splitByChar('\n', details['click_times_micros'])[click_at])),
    if(is_touch, channel, conversion_name),
    if(kind = 'conversion', greatest(toUnixTimestamp64Micro(accept_time), told_time), toUnixTimestamp64Micro(accept_time))
FROM
(
    SELECT
        *,
        p.person AS person,
        toUnixTimestamp64Micro(event_time) AS time,
        xxHash64(event_id) AS hash,
        kind = 'touchpoint' AS is_touch,
        kind = %(sighting)s AS is_sighting,
        if(kind NOT IN ('conversion', 'erased'), transform(
            touchpoint_kind,
            ['VISIT', 'CLICK', 'IMPRESSION', 'ENGAGED_VIEW', 'OPEN', 'COUPON'],
            [1, 2, 3, 4, 5, 6],
            0
        ), 7) AS entry_kind,
        arrayFirstIndex(family -> family NOT IN %(not_one_click)s, click_id_families) AS click_at,
        multiIf(
            is_sighting, toUInt64OrZero(details['sighted_click']),
            click_at = 0, 0,
            xxHash64(concat(click_id_families[click_at], ':', click_id_values[click_at]))
        ) AS click,
        multiIf(
            is_sighting, toUInt64OrZero(details['sighted_interaction']),
            interaction_id = '', 0,
            xxHash64(interaction_id)
        ) AS interaction,
        toInt64OrZero(details['consent_time_micros']) AS consent_time,
        if(details['consent_region'] = '', %(default_region)s, details['consent_region']) AS region,
        %(assumes)s AND splitByChar('-', region)[1] NOT IN %(granting)s AS assumed_denied,
        arrayLast(d -> d.1 <= time, c.decisions).2 AS decided,
        /*shown*/ AS shown
    FROM
    (
        SELECT
            *,
            /*home*/ AS home
        FROM events FINAL
        PREWHERE kind IN ('touchpoint', 'conversion', 'erased', %(sighting)s)
            AND arrayExists(t -> xxHash64(t) IN (/*people_hashes*/), identity_tokens)
        WHERE workspace = %(workspace)s
            AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            AND (
                event_time >= fromUnixTimestamp64Micro(%(oldest)s - %(history)s, 'UTC')
                OR notEmpty(click_id_families)
                OR interaction_id != ''
                OR kind = %(sighting)s
            )
            AND (kind != %(sighting)s OR details['sighted_click'] != '' OR details['sighted_interaction'] != '')
    ) AS e
    INNER JOIN
    (
        SELECT
            xxHash64(p.identity_token) AS token_hash,
            p.person AS person,
            w.earliest AS earliest
        FROM
        (
            SELECT
                identity_token,
                person
            FROM reconciliation_people FINAL
            WHERE reconciliation_id = %(run)s
        ) AS p
        INNER JOIN
        (
            SELECT
                if(f.is_settled, f.person, r.person) AS person,
                min(if(f.is_settled, f.time, r.time)) AS earliest
            FROM
            (
                SELECT
                    conversion_id,
                    person,
                    time
                FROM reconciliation_conversions FINAL
                WHERE reconciliation_id = %(run)s
            ) AS r
            LEFT JOIN
            (
                SELECT *
                FROM reconciliation_families FINAL
                WHERE reconciliation_id = %(run)s
                    AND is_settled
            ) AS f ON f.conversion_id = r.conversion_id
            GROUP BY person
        ) AS w ON w.person = p.person
    ) AS p ON p.token_hash = xxHash64(e.home)
    LEFT JOIN
    (
        SELECT
            if(q.person = 0, xxHash64(d.identity_token), q.person) AS person,
            arraySort(groupUniqArray((toUnixTimestamp64Micro(decision_time), bitAnd(bitShiftRight(states, 2), 3))))
                AS decisions
        FROM consent_decisions AS d FINAL
        LEFT JOIN
        (
            SELECT
                identity_token,
                person
            FROM reconciliation_people FINAL
            WHERE reconciliation_id = %(run)s
        ) AS q ON q.identity_token = d.identity_token
        WHERE workspace = %(workspace)s
            AND bitAnd(states, 12) > 0
            AND identity_token IN (/*people*/)
        GROUP BY person
    ) AS c ON c.person = p.person
    LEFT JOIN
    (
        /*told_as*/
    ) AS b ON b.number = xxHash64(e.conversion_id)
)
WHERE time >= earliest - %(history)s
    OR notEmpty(click_id_families)
    OR interaction_id != ''
    OR is_sighting
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 1, max_insert_threads = 1, max_block_size = 2048,
    join_algorithm = 'hash',
    min_insert_block_size_rows = %(insert_rows)s, min_insert_block_size_bytes = %(insert_bytes)s
