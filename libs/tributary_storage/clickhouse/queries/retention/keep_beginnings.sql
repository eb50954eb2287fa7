-- Keeps of the events of a month, before they are deleted, how people began: of each most telling identifier its first touch,
-- where it came from, and nothing else of it. Of those that were good when they came: neither internal nor denied to be
-- measured, no impression, no return to a session; and only under an identifier that converted, or was seen in a later month:
-- of others the state store has forgotten that, too. The row replaces that of the event; a sighting that says by which rule
-- its channel was told is such a one. Comes before `keep_sightings`: what is a sighting already is not kept again. One part
-- of the identifiers, by their hash, so that what is held in memory is bounded.
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
    channel,
    sub_channel,
    source,
    medium,
    campaign,
    campaign_id,
    channel_rule,
    ad_destination,
    ad_account_id,
    ad_campaign_id,
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
    traffic,
    touchpoint_kind,
    consent_analytics_storage,
    channel,
    sub_channel,
    source,
    medium,
    campaign,
    campaign_id,
    channel_rule,
    ad_destination,
    ad_account_id,
    ad_campaign_id,
    mapFilter(
        (name, value) -> value NOT IN ('', '0'),
        map(
            'sighted_click', toString(click),
            'sighted_interaction', toString(interaction),
            'consent_time_micros', toString(details['consent_time_micros']),
            'consent_region', toString(details['consent_region']),
            'campaign_name', toString(details['campaign_name']),
            'adset_id', toString(details['adset_id']),
            'ad_id', toString(details['ad_id']),
            'creative_id', toString(details['creative_id']),
            'keyword', toString(details['keyword']),
            'match_type', toString(details['match_type']),
            'network', toString(details['network']),
            'placement', toString(details['placement']),
            'term', toString(details['term']),
            'content', toString(details['content'])
        )
    )
FROM
(
    SELECT
        *,
        arrayFirstIndex(family -> family NOT IN %(not_one_click)s, click_id_families) AS click_at,
        if(click_at = 0, 0, xxHash64(concat(click_id_families[click_at], ':', click_id_values[click_at]))) AS click,
        if(interaction_id = '', 0, xxHash64(interaction_id)) AS interaction
    FROM events FINAL
    WHERE workspace = %(workspace)s
        AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        AND kind = 'touchpoint'
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
        AND (event_time, event_id) IN
        (
            SELECT
                place.1,
                place.3
            FROM
            (
                SELECT
                    /*home*/ AS home,
                    min((event_time, xxHash64(event_id), event_id)) AS place
                FROM events
                WHERE workspace = %(workspace)s
                    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                    AND (kind = 'touchpoint' OR (kind = %(sighting)s AND channel_rule != ''))
                    AND verdict != 'QUARANTINED'
                    AND traffic NOT IN ('INTERNAL', 'TEST')
                    AND touchpoint_kind NOT IN ('IMPRESSION', 'ENGAGED_VIEW', 'OPEN')
                    AND NOT continues_session
                    AND consent_analytics_storage != 'DENIED'
                    AND notEmpty(identity_tokens)
                    AND xxHash64(home) %% %(parts)s = %(part)s
                    AND home IN
                    (
                        SELECT identity_token
                        FROM events_by_identifier
                        WHERE workspace = %(workspace)s
                            AND (kind = 'conversion' OR event_time >= fromUnixTimestamp64Micro(%(end)s, 'UTC'))
                            AND xxHash64(identity_token) %% %(parts)s = %(part)s
                    )
                GROUP BY home
                HAVING place.1 >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            )
        )
)
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1,
    max_bytes_before_external_group_by = %(spill)s
