-- Of some workspaces the oldest person-level event or refusal of before the moment of each, and how many rows there are:
-- what should be deleted. Without what was accepted just now.
SELECT
    workspace,
    min(time),
    sum(rows)
FROM
(
    SELECT
        workspace,
        toUnixTimestamp64Micro(min(event_time)) AS time,
        count() AS rows
    FROM events
    WHERE workspace IN %(workspaces)s
        AND kind IN %(kinds)s
        AND event_time < fromUnixTimestamp64Micro(transform(toString(workspace), %(names)s, %(moments)s, 0::Int64), 'UTC')
        AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
    GROUP BY workspace
    UNION ALL
    SELECT
        workspace,
        toUnixTimestamp64Micro(min(accept_time)) AS time,
        count() AS rows
    FROM refusals
    WHERE workspace IN %(workspaces)s
        AND accept_time < fromUnixTimestamp64Micro(transform(toString(workspace), %(names)s, %(moments)s, 0::Int64), 'UTC')
    GROUP BY workspace
)
GROUP BY workspace
ORDER BY workspace
