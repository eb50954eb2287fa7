-- Takes the identifiers of a person out of recorded events of others, which stay theirs.
ALTER TABLE events
    UPDATE
        identity_tokens = arrayFilter(token -> token NOT IN %(tokens)s, identity_tokens),
        admitted = if(admitted = '', '', unhex(transform(event_id, %(event_ids)s, %(admitted)s, '')))
    WHERE workspace = %(workspace)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
SETTINGS mutations_sync = 2
