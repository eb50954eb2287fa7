-- One page of how people began, in event order, after the last event that was read: of the events that were accepted before
-- journeys live, the first touch of each most telling identifier, its first conversion of each name, and its first of the
-- touches that carry the same ids of a click or an interaction; where what was only seen may earn anything, that, too. Of what is older than it is kept, what sightings say of
-- it. Without what was stripped because its person was erased, also where it stays an entry of
-- somebody else's journey. FINAL: of an event that was released, what it is since.
SELECT
    verdict,
    admitted,
    toUnixTimestamp64Micro(accept_time) AS accept_micros,
    traceparent,
    toUnixTimestamp64Micro(event_time) AS event_micros,
    event_id,
    identity_tokens,
    if(
        kind != 'sighting',
        map(),
        mapFilter(
            (name, value) -> value != '',
            mapConcat(
                CAST(details, 'Map(String, String)'),
                map(
                    'traffic', toString(traffic),
                    'touchpoint_kind', toString(touchpoint_kind),
                    'consent', toString(consent_analytics_storage),
                    'channel', toString(channel),
                    'sub_channel', toString(sub_channel),
                    'source', toString(source),
                    'medium', toString(medium),
                    'campaign', toString(campaign),
                    'campaign_id', toString(campaign_id),
                    'rule', toString(channel_rule),
                    'ad_destination', toString(ad_destination),
                    'ad_account_id', toString(ad_account_id),
                    'ad_campaign_id', toString(ad_campaign_id)
                )
            )
        )
    ) AS sighted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(event_time)s, 'UTC')
    AND (event_time, event_id) > (fromUnixTimestamp64Micro(%(event_time)s, 'UTC'), %(event_id)s)
    AND (accept_time < fromUnixTimestamp64Micro(%(journeys_since)s, 'UTC') OR kind = 'sighting')
    AND kind IN ('touchpoint', 'conversion', 'sighting')
    AND NOT startsWith(conversion_id, 's1:')
    AND verdict != 'QUARANTINED'
    AND traffic NOT IN ('INTERNAL', 'TEST')
    AND notEmpty(identity_tokens)
    AND (admitted != '' OR details['sighted_click'] != '' OR details['sighted_interaction'] != '' OR channel_rule != '')
    AND (
        kind = 'conversion'
        OR (
            (touchpoint_kind NOT IN ('IMPRESSION', 'ENGAGED_VIEW', 'OPEN') OR %(keeps_seen)s)
            AND (NOT continues_session OR notEmpty(click_id_families) OR interaction_id != '')
            AND consent_analytics_storage != 'DENIED'
        )
    )
ORDER BY
    event_time,
    event_id
LIMIT 1 BY
    /*home*/,
    if(kind = 'conversion', conversion_name, ''),
    click_id_values,
    interaction_id,
    details['sighted_click'],
    details['sighted_interaction'],
    continues_session,
    touchpoint_kind IN ('IMPRESSION', 'ENGAGED_VIEW', 'OPEN')
LIMIT %(limit)s
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
