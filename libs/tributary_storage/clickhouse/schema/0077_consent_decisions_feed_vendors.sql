-- Fills `consent_decisions` with the vendors that consent strings name, and do not name, too. Of events that were recorded
-- before this nobody noted them.
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
    details['consent_source'] AS source,
    if(
        details['consent_time_micros'] = '',
        CAST([], 'Array(UInt16)'),
        arrayMap(vendor -> toUInt16(vendor), extractAll(details['consent_allowed_vendors'], '[0-9]+'))
    ) AS allowed_vendors,
    arrayMap(vendor -> toUInt16(vendor), extractAll(details['consent_denied_vendors'], '[0-9]+')) AS denied_vendors
FROM events
WHERE verdict != 'QUARANTINED'
    AND (
        consent_analytics_storage != ''
        OR consent_ad_user_data != ''
        OR consent_ad_personalization != ''
        OR details['consent_ad_storage'] != ''
        OR details['consent_sale_or_sharing'] != ''
        OR details['consent_by_strings'] != ''
        OR details['consent_denied_vendors'] != ''
        OR details['consent_allowed_vendors'] != ''
    )
    AND (states > 0 OR notEmpty(allowed_vendors) OR notEmpty(denied_vendors))
