SELECT
    conversion_id,
    revision,
    person_id,
    toString(settings_version) AS stored_version,
    toUnixTimestamp64Micro(publish_time) AS publish_micros,
    (
        name,
        store,
        order_id,
        toUnixTimestamp64Micro(conversion_time),
        currency,
        value_micros,
        original_value_micros,
        counted OR startsWith(not_counted_reason, 'ONCE_PER_'),
        retracted,
        if(startsWith(conversion_id, 's1:'), [], arraySort(observation_event_ids))
    ) AS stored_facts,
    touch_event_ids,
    arrayMap(
        (channel, sub_channel, source, medium, campaign, campaign_id, ad_destination, ad_account_id, ad_campaign_id, details)
            -> /*shown*/,
        touch_channels,
        touch_sub_channels,
        touch_sources,
        touch_mediums,
        touch_campaigns,
        touch_campaign_ids,
        touch_ad_destinations,
        touch_ad_account_ids,
        touch_ad_campaign_ids,
        if(empty(touch_details), arrayMap(t -> map(), touch_event_ids), touch_details)
    ) AS shown,
    [
        first_touch_credit_micros,
        last_touch_credit_micros,
        last_non_direct_credit_micros,
        linear_credit_micros,
        position_based_credit_micros,
        time_decay_credit_micros
    ] AS credits,
    [
        first_touch_value_micros,
        last_touch_value_micros,
        last_non_direct_value_micros,
        linear_value_micros,
        position_based_value_micros,
        time_decay_value_micros
    ] AS amounts
FROM conversions FINAL
PREWHERE conversion_id IN
(
    SELECT conversion_id
    FROM reconciliation_conversions
    WHERE reconciliation_id = %(run)s
        AND slice = %(slice)s
    UNION ALL
    SELECT conversion_id
    FROM reconciliation_families
    WHERE reconciliation_id = %(run)s
        AND slice = %(slice)s
        AND is_settled
)
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(stored_begin)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(stored_end)s, 'UTC')
