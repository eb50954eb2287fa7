-- Adjustments that were accepted before a moment, of conversions that nobody observed: of the run's days, of those that
-- came due in its days, and those that a finding is about which is not resolved. An order may be named by an observation
-- of it that is in quarantine, if another is not. One that was told as a first cycle is adjusted without the cycle, too,
-- also by the id that it had without, if who told it so was erased. What went with its order as its person was erased
-- changes nothing any more.
-- One row per adjustment.
WITH
    late AS
    (
        SELECT DISTINCT
            conversion_id,
            event_id
        FROM events_by_conversion
        WHERE workspace = %(workspace)s
            AND kind = 'adjustment'
            AND verdict != 'QUARANTINED'
            AND traffic NOT IN ('INTERNAL', 'TEST')
            AND NOT startsWith(conversion_id, 's1:')
            AND accept_time < fromUnixTimestamp64Micro(%(accepted_before)s, 'UTC')
            AND (
                (
                    accept_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                    AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                )
                OR (
                    accept_time >= fromUnixTimestamp64Micro(%(due_begin)s, 'UTC')
                    AND accept_time < fromUnixTimestamp64Micro(%(due_end)s, 'UTC')
                )
                OR event_id IN
                (
                    SELECT event_id
                    FROM reconciliation_findings FINAL
                    WHERE workspace = %(workspace)s
                        AND state != 'RESOLVED'
                        AND kind = 'UNMATCHED_ADJUSTMENT'
                )
            )
    ),
    unmatched AS
    (
        SELECT
            conversion_id,
            event_id
        FROM late
        WHERE conversion_id NOT IN
        (
            SELECT conversion_id
            FROM events_by_conversion
            WHERE workspace = %(workspace)s
                AND conversion_id IN (SELECT conversion_id FROM late)
                AND kind = 'conversion'
                AND verdict != 'QUARANTINED'
            UNION ALL
            SELECT conversion_id
            FROM stand_ins
            WHERE workspace = %(workspace)s
                AND conversion_id IN (SELECT conversion_id FROM late)
                AND role = 5
        )
    ),
    targets AS
    (
        SELECT
            event_id,
            conversion_id
        FROM events
        WHERE workspace = %(workspace)s
            AND kind = 'conversion'
            AND event_id IN
            (
                SELECT details['target_event_id']
                FROM events
                WHERE workspace = %(workspace)s
                    AND event_id IN (SELECT event_id FROM unmatched)
            )
    )
SELECT
    event_id,
    any(conversion_id) AS adjusted_id,
    any(conversion_name) AS name,
    any(multiIf(order_id != '', order_id, details['target_event_id'] != '', details['target_event_id'], conversion_id)) AS named,
    any(adjustment_reason) AS reason,
    any(if(isNull(value_micros), '', concat(toString(value_micros), ' micros ', currency))) AS amount
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'adjustment'
    AND NOT startsWith(conversion_id, 's1:')
    AND event_id IN (SELECT event_id FROM unmatched)
    AND NOT (
        cycle = ''
        AND order_id != ''
        AND (conversion_name, store, order_id) IN
        (
            SELECT
                conversion_name,
                store,
                order_id
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
                AND verdict != 'QUARANTINED'
                AND traffic NOT IN ('INTERNAL', 'TEST')
                AND order_id IN
                (
                    SELECT order_id
                    FROM events
                    WHERE workspace = %(workspace)s
                        AND event_id IN (SELECT event_id FROM unmatched)
                )
                AND /*is_first*/
        )
    )
    AND details['target_event_id'] NOT IN
    (
        SELECT event_id
        FROM targets
        WHERE conversion_id IN
        (
            SELECT conversion_id
            FROM events_by_conversion
            WHERE workspace = %(workspace)s
                AND conversion_id IN (SELECT conversion_id FROM targets)
                AND kind = 'conversion'
                AND verdict != 'QUARANTINED'
        )
    )
GROUP BY event_id
ORDER BY event_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
