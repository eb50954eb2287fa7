-- What others observed until a moment of a person's conversions, on a device that is not the person's.
SELECT
    toUnixTimestamp64Micro(event_time) AS time,
    event_id,
    conversion_id,
    toUnixTimestamp64Micro(accept_time),
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND admitted != ''
    AND conversion_id IN %(conversions)s
    AND notEmpty(identity_tokens)
    AND arraySort(t -> (indexOf(['customer', 'email', 'phone', 'visitor', 'device', 'other'], splitByChar(':', t)[1]), t), identity_tokens)[1]
        NOT IN %(tokens)s
ORDER BY
    time,
    event_id
