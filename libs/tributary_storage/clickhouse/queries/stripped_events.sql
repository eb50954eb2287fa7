-- Those of some events that an erasure took out of an order, or all out of, as they are since: what is left of one in the
-- journey of whoever it is of, or nothing. The times come first in the order of the table, so only granules around them
-- are read. FINAL: of an event that was released, what it is since.
SELECT
    toUnixTimestamp64Micro(event_time) AS event_micros,
    event_id,
    verdict,
    admitted,
    toUnixTimestamp64Micro(accept_time),
    traceparent
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time IN (SELECT fromUnixTimestamp64Micro(toInt64(arrayJoin(%(times)s)), 'UTC'))
    AND event_id IN %(event_ids)s
    AND (admitted = '' OR startsWith(conversion_id, 's1:'))
SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1
