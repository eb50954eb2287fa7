-- Fills `consent_decisions` with what consent strings and browsers say too: of each purpose the stricter of that and of what
-- was said in words. Of events that were recorded before this nobody noted what their strings say. Sixteen bits: of eight,
-- what was said of selling and sharing fell off.
ALTER TABLE consent_decisions_feed /*ON CLUSTER*/
MODIFY QUERY
SELECT
    workspace,
    arrayJoin(identity_tokens) AS identity_token,
    least(
        if(
            details['consent_time_micros'] = '',
            event_time,
            fromUnixTimestamp64Micro(toInt64OrZero(details['consent_time_micros']), 'UTC')
        ),
        accept_time
    ) AS decision_time,
    event_id,
    arraySum(
        (said, place) -> if(details['consent_time_micros'] = '' AND (place = 1 OR said != 2), 0, said)
            * bitShiftLeft(toUInt16(1), 2 * place),
        arrayMap(
            (word, place) -> greatest(
                transform(word, ['GRANTED', 'DENIED'], [1, 2], 0),
                bitAnd(bitShiftRight(toUInt16OrZero(details['consent_by_strings']), 2 * place), 3)
            ),
            [
                details['consent_ad_storage'],
                toString(consent_analytics_storage),
                toString(consent_ad_user_data),
                toString(consent_ad_personalization),
                details['consent_sale_or_sharing']
            ],
            range(5)
        ),
        range(5)
    ) AS states,
    details['consent_region'] AS region,
    details['consent_source'] AS source
FROM events
WHERE verdict != 'QUARANTINED'
    AND (
        consent_analytics_storage != ''
        OR consent_ad_user_data != ''
        OR consent_ad_personalization != ''
        OR details['consent_ad_storage'] != ''
        OR details['consent_sale_or_sharing'] != ''
        OR details['consent_by_strings'] != ''
    )
    AND states > 0
