-- Makes adjustments of an order whose person is erased those of the conversion that counts in its place, which they change
-- already: somebody else told the same order with its cycle.
ALTER TABLE events
    UPDATE
        conversion_id = transform(event_id, %(event_ids)s, %(conversion_ids)s, conversion_id),
        conversion_name = '',
        order_id = '',
        store = '',
        cycle = '',
        details = mapFilter((name, text) -> startsWith(name, 'amount_'), details),
        admitted = unhex(transform(event_id, %(event_ids)s, %(admitted)s, ''))
    WHERE workspace = %(workspace)s
        AND kind = 'adjustment'
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
SETTINGS mutations_sync = 2
