-- The events of others that name an identifier of a person until a moment: seen on a device, or under an address, that
-- they share.
SELECT
    toUnixTimestamp64Micro(event_time) AS time,
    event_id,
    if(kind = 'conversion' AND verdict != 'QUARANTINED', conversion_id, ''),
    toUnixTimestamp64Micro(accept_time),
    admitted
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND hasAny(identity_tokens, %(token_list)s)
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
    )
    AND /*home*/
        NOT IN %(tokens)s
    AND conversion_id NOT IN %(conversions)s
ORDER BY
    time,
    event_id
