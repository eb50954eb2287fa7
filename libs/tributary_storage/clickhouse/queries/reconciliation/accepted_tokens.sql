-- The identifiers of a part of everybody of whom anything was accepted in the days of a run, if they were ever seen with
-- another identifier, or on a conversion: whoever else came has nothing that could change. In parts, for they are many.
SELECT DISTINCT token
FROM
(
    SELECT
        identity_tokens,
        verdict
    FROM events
    PREWHERE kind = 'conversion' OR length(identity_tokens) > 1
    WHERE workspace = %(workspace)s
)
ARRAY JOIN identity_tokens AS token
WHERE verdict != 'QUARANTINED'
    AND token IN
    (
        SELECT token
        FROM events
        ARRAY JOIN identity_tokens AS token
        WHERE workspace = %(workspace)s
            AND verdict != 'QUARANTINED'
            AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            AND xxHash64(token) %% %(slices)s = %(part)s
    )
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
