-- How many identifiers a person's own events until a moment name that are none of the person's.
SELECT uniqExact(token)
FROM events
ARRAY JOIN identity_tokens AS token
WHERE workspace = %(workspace)s
    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    AND (event_time, event_id) IN
    (
        /*of_tokens*/
    )
    AND /*home*/
        IN %(tokens)s
    AND token NOT IN %(tokens)s
