-- Newest revisions as they are stored, of the conversions of a slice. What is said of touches has the same length in all
-- columns, and what each model says in the reporting currency adds up to the value in it; where it is not so, somebody
-- changed the row, and it `is_damaged`: columns that are shorter end with what is empty.
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
    arrayDistinct(
        [
            length(touch_event_ids),
            length(touch_times),
            length(touch_kinds),
            length(touch_channels),
            length(touch_sub_channels),
            length(touch_sources),
            length(touch_mediums),
            length(touch_campaigns),
            length(touch_campaign_ids),
            length(touch_ad_destinations),
            length(touch_ad_account_ids),
            length(touch_ad_campaign_ids),
            length(first_touch_credit_micros),
            length(first_touch_value_micros),
            length(last_touch_credit_micros),
            length(last_touch_value_micros),
            length(last_non_direct_credit_micros),
            length(last_non_direct_value_micros),
            length(linear_credit_micros),
            length(linear_value_micros),
            length(position_based_credit_micros),
            length(position_based_value_micros),
            length(time_decay_credit_micros),
            length(time_decay_value_micros),
            if(empty(data_driven_credit_micros), length(touch_event_ids), length(data_driven_credit_micros)),
            if(empty(data_driven_value_micros), length(touch_event_ids), length(data_driven_value_micros)),
            if(empty(touch_details), length(touch_event_ids), length(touch_details))
        ]
    ) AS lengths,
    arrayMax(lengths) AS width,
    length(lengths) > 1
        OR arrayExists(shares -> arraySum(shares) != reporting_value_micros, mapValues(reporting_credit_micros))
        AS is_damaged,
    arrayResize(touch_event_ids, width) AS touches,
    arrayMap(
        (channel, sub_channel, source, medium, campaign, campaign_id, ad_destination, ad_account_id, ad_campaign_id, details)
            -> /*shown*/,
        arrayResize(touch_channels, width),
        arrayResize(touch_sub_channels, width),
        arrayResize(touch_sources, width),
        arrayResize(touch_mediums, width),
        arrayResize(touch_campaigns, width),
        arrayResize(touch_campaign_ids, width),
        arrayResize(touch_ad_destinations, width),
        arrayResize(touch_ad_account_ids, width),
        arrayResize(touch_ad_campaign_ids, width),
        arrayResize(touch_details, width)
    ) AS shown,
    [
        arrayResize(first_touch_credit_micros, width),
        arrayResize(last_touch_credit_micros, width),
        arrayResize(last_non_direct_credit_micros, width),
        arrayResize(linear_credit_micros, width),
        arrayResize(position_based_credit_micros, width),
        arrayResize(time_decay_credit_micros, width)
    ] AS credits,
    [
        arrayResize(first_touch_value_micros, width),
        arrayResize(last_touch_value_micros, width),
        arrayResize(last_non_direct_value_micros, width),
        arrayResize(linear_value_micros, width),
        arrayResize(position_based_value_micros, width),
        arrayResize(time_decay_value_micros, width)
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
