-- What changes conversions and names a person, until a moment: one row per conversion that such an adjustment may be kept
-- with, which is the one that it names, and the order of the event that it names. That of its most telling identifier is
-- who told it.
SELECT
    toUnixTimestamp64Micro(a.event_time) AS time,
    a.event_id AS adjustment,
    arrayJoin(arrayDistinct(arrayFilter(id -> id != '', [a.named, t.order_of]))) AS conversion,
    toUnixTimestamp64Micro(a.accept_time),
    a.admitted
FROM
(
    SELECT
        *,
        if(conversion_id = '', details['target_conversion_id'], conversion_id) AS named
    FROM events FINAL
    WHERE workspace = %(workspace)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND kind = 'adjustment'
        AND verdict != 'QUARANTINED'
        AND admitted != ''
        AND (event_time, event_id) IN
        (
            /*of_tokens*/
        )
) AS a
LEFT JOIN
(
    SELECT
        event_id AS target,
        any(conversion_id) AS order_of
    FROM events_by_id
    WHERE workspace = %(workspace)s
        AND kind = 'conversion'
        AND event_hash IN
        (
            SELECT xxHash64(details['target_event_id'])
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'adjustment'
                AND hasAny(identity_tokens, %(token_list)s)
        )
    GROUP BY event_id
) AS t ON t.target = a.details['target_event_id']
ORDER BY
    time,
    adjustment,
    conversion
