-- What a person observed until a moment of conversions that are published of others: on a device that they share.
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
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
    )
    AND /*home*/
        IN %(tokens)s
    AND conversion_id NOT IN %(conversions)s
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND person_id != ''
            AND person_id NOT IN %(person_keys)s
    )
ORDER BY
    time,
    event_id
