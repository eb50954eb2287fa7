-- How many events of the last days came with an id that was personal, by workspace: a token is stored in its place. A row
-- that was written twice counts twice: whether there are any is asked, and about how many.
SELECT
    workspace,
    count()
FROM events
WHERE event_time >= now64(6) - toIntervalDay(%(days)s)
    AND has(reason_codes, 'PERSONAL_DATA_REDACTED')
    AND
    (
        startsWith(event_id, %(token)s)
        OR startsWith(order_id, %(token)s)
        OR startsWith(adjustment_id, %(token)s)
    )
GROUP BY workspace
ORDER BY workspace
