-- The last page of a month that can be gone on after: its number, and the identifier that it ends with. Of one that ends with
-- somebody who is erased since that cannot be told: that page, and those after it, are counted again.
SELECT
    p.page,
    i.identity_token
FROM
(
    SELECT DISTINCT identity_token
    FROM events_by_identifier
    WHERE workspace = %(workspace)s
        AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        AND xxHash64(identity_token) IN
        (
            SELECT boundary
            FROM ended_paths_pages FINAL
            WHERE workspace = %(workspace)s
                AND month = %(month)s
                AND accepted_until = fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
                AND seen_time = fromUnixTimestamp64Micro(%(seen)s, 'UTC')
        )
) AS i
INNER JOIN
(
    SELECT
        page,
        boundary
    FROM ended_paths_pages FINAL
    WHERE workspace = %(workspace)s
        AND month = %(month)s
        AND accepted_until = fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
        AND seen_time = fromUnixTimestamp64Micro(%(seen)s, 'UTC')
) AS p ON p.boundary = xxHash64(i.identity_token)
ORDER BY p.page DESC
LIMIT 1
SETTINGS max_threads = 1
