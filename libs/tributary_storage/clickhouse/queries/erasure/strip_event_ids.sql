-- Takes the orders out of what is known of event ids; that an id is known stays, so that sent again it is a duplicate.
ALTER TABLE events_by_id
    UPDATE
        conversion_id = '',
        adjustment_id = ''
    WHERE workspace = %(workspace)s
        AND event_id IN %(event_ids)s
SETTINGS mutations_sync = 2
