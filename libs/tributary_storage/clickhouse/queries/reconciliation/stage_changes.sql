-- Adds the conversions of people of whom anything was accepted in the days of a run: from the earliest of it on, for what
-- was before that, and before a decision that it tells of, it cannot change; all of those of people who became others than they were.
INSERT INTO reconciliation_targets
(
    reconciliation_id,
    conversion_id
)
WITH
    people AS
    (
        SELECT
            identity_token,
            person,
            is_changed
        FROM reconciliation_people FINAL
        WHERE reconciliation_id = %(run)s
    )
SELECT DISTINCT
    %(run)s,
    o.conversion_id
FROM
(
    SELECT
        b.conversion_id AS conversion_id,
        p.person AS person,
        toUnixTimestamp64Micro(b.event_time) AS time
    FROM
    (
        SELECT
            identity_token,
            event_time,
            conversion_id
        FROM events_by_identifier
        PREWHERE kind = 'conversion'
        WHERE workspace = %(workspace)s
            AND verdict != 'QUARANTINED'
            AND conversion_id != ''
            AND NOT startsWith(conversion_id, 's1:')
            AND identity_token IN (SELECT identity_token FROM people)
    ) AS b
    INNER JOIN people AS p ON p.identity_token = b.identity_token
) AS o
INNER JOIN
(
    SELECT
        person,
        min(since) AS since
    FROM
    (
        SELECT
            p.person AS person,
            e.since AS since
        FROM
        (
            SELECT
                arrayJoin(identity_tokens) AS token,
                least(
                    toUnixTimestamp64Micro(event_time),
                    if(
                        details['consent_time_micros'] = '',
                        toUnixTimestamp64Micro(event_time),
                        toInt64OrZero(details['consent_time_micros'])
                    )
                ) AS since
            FROM events
            WHERE workspace = %(workspace)s
                AND verdict != 'QUARANTINED'
                AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        ) AS e
        INNER JOIN people AS p ON p.identity_token = e.token
        UNION ALL
        SELECT
            person,
            0 AS since
        FROM people
        WHERE is_changed
    )
    GROUP BY person
) AS s ON s.person = o.person
WHERE o.time >= s.since - %(late)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
