-- Keeps of the events of a month, before they are deleted, what people are made of: of every pair of identifiers the first
-- event that carried both, and of identifiers that may be shared devices the first and the last per customer and day, so
-- that customers come and go when they did. And that the id of a click or an interaction was seen: its first touch of each
-- most telling identifier that converted, or was seen in a later month. Of these stays which identifiers were seen together, when, and the number that the id goes by:
-- nothing else is a sighting's, but what `keep_beginnings` kept. The row replaces that of the event. One part of the
-- identifiers, by the hash of the first of a pair, so that what is held in memory is bounded.
INSERT INTO events
(
    workspace,
    event_time,
    event_id,
    kind,
    verdict,
    accept_time,
    record_time,
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index,
    api_key_id,
    backfill,
    identity_tokens,
    payload_digest,
    traffic,
    touchpoint_kind,
    consent_analytics_storage,
    details
)
SELECT
    workspace,
    event_time,
    event_id,
    %(sighting)s,
    verdict,
    accept_time,
    record_time,
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index,
    api_key_id,
    backfill,
    identity_tokens,
    payload_digest,
    if(has_id, toString(traffic), ''),
    if(has_id, toString(touchpoint_kind), ''),
    if(has_id, toString(consent_analytics_storage), ''),
    mapFilter(
        (name, value) -> has_id AND value NOT IN ('', '0'),
        map(
            'sighted_click', toString(click),
            'sighted_interaction', toString(interaction),
            'consent_time_micros', toString(details['consent_time_micros']),
            'consent_region', toString(details['consent_region'])
        )
    )
FROM
(
    SELECT
        *,
        arrayFirstIndex(family -> family NOT IN %(not_one_click)s, click_id_families) AS click_at,
        if(click_at = 0, 0, xxHash64(concat(click_id_families[click_at], ':', click_id_values[click_at]))) AS click,
        if(interaction_id = '', 0, xxHash64(interaction_id)) AS interaction,
        kind = 'touchpoint' AND (click != 0 OR interaction != 0) AS has_id
    FROM events FINAL
    WHERE workspace = %(workspace)s
        AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        AND kind IN %(kinds)s
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
        AND (event_time, event_id) IN
        (
            SELECT
                place.1,
                place.3
            FROM
            (
                SELECT min((event_time, xxHash64(event_id), event_id)) AS place
                FROM events
                ARRAY JOIN identity_tokens AS first
                ARRAY JOIN identity_tokens AS second
                WHERE workspace = %(workspace)s
                    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    AND verdict != 'QUARANTINED'
                    AND length(identity_tokens) > 1
                    AND first < second
                    AND xxHash64(first) %% %(parts)s = %(part)s
                GROUP BY
                    first,
                    second
                HAVING place.1 >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                UNION ALL
                SELECT arrayJoin([
                    min((event_time, xxHash64(event_id), event_id)),
                    max((event_time, xxHash64(event_id), event_id))
                ]) AS place
                FROM events
                ARRAY JOIN identity_tokens AS token
                ARRAY JOIN identity_tokens AS customer
                WHERE workspace = %(workspace)s
                    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    AND verdict != 'QUARANTINED'
                    AND startsWith(customer, 'customer:')
                    AND xxHash64(token) %% %(parts)s = %(part)s
                    AND token IN
                    (
                        SELECT token
                        FROM
                        (
                            SELECT
                                token,
                                customer
                            FROM events
                            ARRAY JOIN identity_tokens AS token
                            ARRAY JOIN identity_tokens AS customer
                            WHERE workspace = %(workspace)s
                                AND event_time >= fromUnixTimestamp64Micro(%(begin)s - %(reach)s, 'UTC')
                                AND event_time < fromUnixTimestamp64Micro(%(end)s + %(reach)s, 'UTC')
                                AND verdict != 'QUARANTINED'
                            UNION ALL
                            SELECT
                                token,
                                customer
                            FROM
                            (
                                SELECT groupUniqArrayArray(identity_tokens) AS seen
                                FROM events
                                WHERE workspace = %(workspace)s
                                    AND event_time >= fromUnixTimestamp64Micro(%(begin)s - %(reach)s, 'UTC')
                                    AND event_time < fromUnixTimestamp64Micro(%(end)s + %(reach)s, 'UTC')
                                    AND kind = 'conversion'
                                    AND verdict != 'QUARANTINED'
                                GROUP BY conversion_id
                                HAVING count() > 1
                            )
                            ARRAY JOIN seen AS token
                            ARRAY JOIN seen AS customer
                        )
                        WHERE startsWith(customer, 'customer:')
                            AND NOT startsWith(token, 'customer:')
                            AND xxHash64(token) %% %(parts)s = %(part)s
                        GROUP BY token
                        HAVING uniqExact(customer) > %(customers)s
                    )
                GROUP BY
                    token,
                    customer,
                    toDate(event_time)
                UNION ALL
                SELECT min((event_time, xxHash64(event_id), event_id)) AS place
                FROM
                (
                    SELECT
                        event_time,
                        event_id,
                        traffic,
                        consent_analytics_storage,
                        /*home*/ AS home,
                        arrayFirstIndex(family -> family NOT IN %(not_one_click)s, click_id_families) AS click_at,
                        if(click_at = 0, 0, xxHash64(concat(click_id_families[click_at], ':', click_id_values[click_at]))) AS click,
                        if(interaction_id = '', 0, xxHash64(interaction_id)) AS interaction,
                        if(kind = %(sighting)s, toUInt64OrZero(details['sighted_click']), click) AS known_click,
                        if(kind = %(sighting)s, toUInt64OrZero(details['sighted_interaction']), interaction)
                            AS known_interaction
                    FROM events
                    WHERE workspace = %(workspace)s
                        AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                        AND kind IN ('touchpoint', %(sighting)s)
                        AND verdict != 'QUARANTINED'
                        AND touchpoint_kind NOT IN ('IMPRESSION', 'ENGAGED_VIEW', 'OPEN')
                        AND consent_analytics_storage != 'DENIED'
                        AND notEmpty(identity_tokens)
                )
                ARRAY JOIN [('click', known_click), ('interaction', known_interaction)] AS id
                WHERE id.2 != 0
                    AND xxHash64(home) %% %(parts)s = %(part)s
                    AND home IN
                    (
                        SELECT identity_token
                        FROM events_by_identifier
                        WHERE workspace = %(workspace)s
                            AND (kind = 'conversion' OR event_time >= fromUnixTimestamp64Micro(%(end)s, 'UTC'))
                            AND xxHash64(identity_token) %% %(parts)s = %(part)s
                    )
                GROUP BY
                    home,
                    id,
                    traffic,
                    consent_analytics_storage
                HAVING place.1 >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            )
        )
)
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1,
    max_bytes_before_external_group_by = %(spill)s
