-- Fills `consent_decisions` with what was recorded before it was there. Rows that its feed wrote meanwhile replace
-- themselves.
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
        (said, place) -> multiIf(
            details['consent_time_micros'] = '' AND (place = 1 OR said != 'DENIED'), 0,
            said = 'DENIED', 2,
            said = 'GRANTED', 1,
            0
        ) * bitShiftLeft(1, 2 * place),
        [
            details['consent_ad_storage'],
            consent_analytics_storage,
            consent_ad_user_data,
            consent_ad_personalization,
            details['consent_sale_or_sharing']
        ],
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
    )
    AND states > 0
