-- Takes the orders out of what was decided about quarantined events; that it was decided, by whom and when, stays.
ALTER TABLE quarantine_decisions
    UPDATE
        conversion_id = '',
        reason = ''
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
SETTINGS mutations_sync = 2
