-- Takes orders, and what people wrote, out of what was decided about a person's quarantined events, and about what observed
-- their conversions; that it was decided, by whom and when, stays.
ALTER TABLE quarantine_decisions
    UPDATE
        conversion_id = '',
        reason = ''
    WHERE workspace = %(workspace)s
        AND (event_id IN %(event_ids)s OR conversion_id IN %(conversions)s)
        AND (conversion_id != '' OR reason != '')
SETTINGS mutations_sync = 2
