-- The ids of events that are known by time and hash only: journeys keep no texts. The times come first in the order of
-- the table, so only granules around them are read. An event that was recorded twice is one.
SELECT DISTINCT
    xxHash64(event_id) AS event_hash,
    event_id
FROM events
WHERE workspace = %(workspace)s
    AND event_time IN (SELECT fromUnixTimestamp64Micro(toInt64(arrayJoin(%(times)s)), 'UTC'))
    AND event_hash IN (%(hashes)s)
