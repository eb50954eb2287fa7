-- Part of statements: the places of the events that carry any of some identifiers, found by key. What else is asked of
-- these may follow it.
SELECT
    event_time,
    event_id
FROM events_by_identifier
WHERE workspace = %(workspace)s
    AND identity_token IN %(tokens)s
