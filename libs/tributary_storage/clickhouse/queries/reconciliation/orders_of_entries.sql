-- The random ids of what entries of journeys observed whose orders an erasure took out, by event id.
SELECT
    event_id,
    any(conversion_id)
FROM events_by_identifier FINAL
WHERE workspace = %(workspace)s
    AND identity_token IN %(tokens)s
    AND event_id IN %(event_ids)s
    AND startsWith(conversion_id, 's1:')
GROUP BY event_id
