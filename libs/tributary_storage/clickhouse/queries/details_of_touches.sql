-- What is known of events beside what journeys keep: ids, when they were accepted, why they are quarantined. The times
-- come first in the order of the table, so only granules around them are read. An event that was recorded twice is one.
SELECT
    xxHash64(event_id) AS event_hash,
    event_id,
    toUnixTimestamp64Micro(accept_time),
    if(verdict = 'QUARANTINED', reason_codes, [])
FROM events
WHERE workspace = %(workspace)s
    AND event_time IN (SELECT fromUnixTimestamp64Micro(toInt64(arrayJoin(%(times)s)), 'UTC'))
    AND event_hash IN (%(hashes)s)
ORDER BY verdict = 'QUARANTINED' -- of one that was released, what it is since
LIMIT 1 BY event_hash
