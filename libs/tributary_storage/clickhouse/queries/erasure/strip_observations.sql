-- Takes out of recorded observations, and of what changes conversions, whose they were; what they say of conversions, which
-- are others', stays. What an erasure of these others has stripped since it was read says nothing of them any more.
ALTER TABLE events
    UPDATE
        identity_tokens = [],
        session_id = '',
        address_token = '',
        page_url = '',
        referrer_host = '',
        click_id_families = [],
        click_id_values = [],
        interaction_id = '',
        properties = map(),
        details = mapFilter(
            (name, text) -> startsWith(name, 'amount_')
                OR name IN ('lead_id', 'root_order_id', 'stage', 'subscription_id', 'recurrence_kind')
                OR name IN ('target_event_id', 'target_conversion_id'),
            details
        ),
        traceparent = '',
        admitted = unhex(transform(event_id, %(event_ids)s, %(admitted)s, ''))
    WHERE workspace = %(workspace)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
        AND admitted != ''
        AND NOT startsWith(conversion_id, 's1:')
SETTINGS mutations_sync = 2
