-- Adjustments as they are recorded, by their ids: what each was claimed by is in none of the tables of lookups. What an
-- erasure stripped does not tell it any more.
SELECT
    event_id,
    admitted
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'adjustment'
    AND admitted != ''
    AND (event_time, event_id) IN
    (
        SELECT
            event_time,
            event_id
        FROM events_by_id
        WHERE workspace = %(workspace)s
            AND event_hash IN %(hashes)s
            AND event_id IN %(event_ids)s
    )
