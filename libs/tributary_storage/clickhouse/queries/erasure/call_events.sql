-- Calls stripped events what became of their conversions: a conversion where that was severed, else erased.
ALTER TABLE events
    UPDATE
        kind = if(conversion_id IN %(severed)s, 'conversion', 'erased')
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(miscalled)s
        AND kind IN ('conversion', 'erased')
        AND verdict != 'QUARANTINED'
SETTINGS mutations_sync = 2
