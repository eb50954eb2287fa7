-- The first conversion of each name that some identifiers had of those that are none of a person's, as a rebuild notes it
-- (`firsts_to_rebuild`): with place and id, found by key. FINAL: of an event that was released, what it is since.
SELECT
    /*home*/ AS own,
    conversion_name,
    toUnixTimestamp64Micro(event_time),
    event_id,
    conversion_id
FROM events FINAL
WHERE workspace = %(workspace)s
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
            AND kind = 'conversion'
    )
    AND kind = 'conversion'
    AND startsWith(conversion_id, 'c1:')
    AND conversion_id NOT IN %(conversions)s
    AND verdict != 'QUARANTINED'
    AND traffic NOT IN ('INTERNAL', 'TEST')
    AND admitted != ''
    AND own IN %(tokens)s
ORDER BY
    event_time,
    xxHash64(event_id)
LIMIT 1 BY
    own,
    conversion_name
