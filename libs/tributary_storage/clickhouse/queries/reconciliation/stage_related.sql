-- Adds the conversions that share a name with those of the round before; the first goes on from those that a run compares.
INSERT INTO reconciliation_related
(
    reconciliation_id,
    round,
    conversion_id
)
SELECT DISTINCT
    %(run)s,
    %(round)s,
    conversion_id
FROM
(
    SELECT
        conversion_id,
        /*family_names*/ AS name
    FROM events
    WHERE workspace = %(workspace)s
        AND kind = 'conversion'
        AND verdict != 'QUARANTINED'
        AND NOT startsWith(conversion_id, 's1:')
        AND conversion_id NOT IN
        (
            /*related_ids*/
        )
)
WHERE name IN
(
    SELECT /*family_names*/
    FROM events
    WHERE workspace = %(workspace)s
        AND kind = 'conversion'
        AND verdict != 'QUARANTINED'
        AND conversion_id IN
        (
            SELECT conversion_id
            FROM reconciliation_targets
            WHERE %(round)s = 1
                AND reconciliation_id = %(run)s
            UNION ALL
            SELECT conversion_id
            FROM reconciliation_related
            WHERE reconciliation_id = %(run)s
                AND round = %(round)s - 1
        )
)
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
