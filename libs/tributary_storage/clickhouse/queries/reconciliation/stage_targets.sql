-- Says which conversions a run compares: those that were observed in its days, and, where it compares what changed, those
-- that anything which was accepted in these days names, whenever they were. An adjustment may name an order by an
-- observation of it that is in quarantine.
INSERT INTO reconciliation_targets
(
    reconciliation_id,
    conversion_id
)
SELECT DISTINCT
    %(run)s,
    conversion_id
FROM
(
    SELECT conversion_id
    FROM events
    WHERE workspace = %(workspace)s
        AND kind = 'conversion'
        AND verdict != 'QUARANTINED'
        AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    UNION ALL
    SELECT conversion_id
    FROM events
    WHERE %(with_changes)s
        AND workspace = %(workspace)s
        AND kind = 'conversion'
        AND verdict != 'QUARANTINED'
        AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    UNION ALL
    SELECT if(t.order_of != '', t.order_of, a.named) AS conversion_id
    FROM
    (
        SELECT
            if(conversion_id = '', details['target_conversion_id'], conversion_id) AS named,
            details['target_event_id'] AS target
        FROM events
        WHERE %(with_changes)s
            AND workspace = %(workspace)s
            AND kind = 'adjustment'
            AND verdict != 'QUARANTINED'
            AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    ) AS a
    LEFT JOIN
    (
        SELECT
            event_id AS target,
            any(conversion_id) AS order_of
        FROM events_by_id
        WHERE %(with_changes)s
            AND workspace = %(workspace)s
            AND kind = 'conversion'
            AND event_hash IN
            (
                SELECT xxHash64(details['target_event_id'])
                FROM events
                WHERE workspace = %(workspace)s
                    AND kind = 'adjustment'
                    AND accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                    AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
            )
        GROUP BY event_id
    ) AS t ON t.target = a.target
)
WHERE conversion_id != ''
    AND NOT startsWith(conversion_id, 's1:')
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
