-- Takes the events of a person out of what was refused; that they were, and why, stays.
ALTER TABLE refusals
    UPDATE
        admitted = '',
        conversion_id = '',
        reason_messages = arrayMap(text -> '', reason_messages),
        traceparent = ''
    WHERE workspace = %(workspace)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND /*naming*/
SETTINGS mutations_sync = 2
