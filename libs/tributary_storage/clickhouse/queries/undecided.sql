-- Of observations that wait in quarantine (`waiting`) those that nobody decided on, without orders that another observation
-- made a conversion.
SELECT *
FROM waiting
WHERE event_id NOT IN
    (
        SELECT event_id
        FROM quarantine_decisions
        WHERE workspace = %(workspace)s
            AND event_id IN (SELECT event_id FROM waiting)
    )
    AND conversion_id NOT IN
    (
        SELECT conversion_id
        FROM events_by_conversion
        WHERE workspace = %(workspace)s
            AND conversion_id IN (SELECT conversion_id FROM waiting)
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
    )
