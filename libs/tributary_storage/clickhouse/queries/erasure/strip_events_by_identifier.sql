-- Takes the orders out of under which identifiers entries of other people's journeys are found.
ALTER TABLE events_by_identifier
    UPDATE
        conversion_id = if(startsWith(conversion_id, 's1:'), conversion_id, concat('s1:', lower(
            hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), conversion_id)))))
    WHERE workspace = %(workspace)s
        AND event_id IN %(entry_ids)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
SETTINGS mutations_sync = 2
