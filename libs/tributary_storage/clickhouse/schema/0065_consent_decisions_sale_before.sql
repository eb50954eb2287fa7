-- Fills `consent_decisions` with what was said of selling and sharing before its feed kept that. Each row takes the place of
-- the one that lacks it.
INSERT INTO consent_decisions
(
    workspace,
    identity_token,
    decision_time,
    event_id,
    states,
    region,
    source
)
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
    AND details['consent_sale_or_sharing'] != ''
    AND states > 0
