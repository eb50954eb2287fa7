-- How many events of the last days came with an id that was personal, by workspace: a token is stored in its place. Ids are
-- all that tells events and conversions apart (`redacted_ids.TOLD_APART`). A row that was written twice counts twice:
-- whether there are any is asked, and about how many.
SELECT
    workspace,
    count()
FROM events
WHERE event_time >= now64(6) - toIntervalDay(%(days)s)
    AND has(reason_codes, 'PERSONAL_DATA_REDACTED')
    AND arrayExists(
        text -> startsWith(text, %(token)s),
        [
            event_id,
            order_id,
            adjustment_id,
            toString(conversion_name),
            toString(store),
            toString(cycle),
            details['subscription_id'],
            details['lead_id'],
            details['root_order_id'],
            details['stage'],
            details['target_event_id']
        ]
    )
GROUP BY workspace
ORDER BY workspace
