-- What observations say of leads and subscriptions, of the orders that leads are named by, also by those whose people
-- were erased, and of the orders of first cycles, told with and without these: of the conversions that a run compares and of
-- all that are related to them, or of all that there are.
SELECT
    conversion_id,
    conversion_name,
    store,
    order_id,
    details['lead_id'],
    details['root_order_id'],
    details['stage'],
    details['subscription_id'],
    transform(
        details['recurrence_kind'],
        ['TRIAL', 'FIRST', 'RENEWAL', 'UPGRADE', 'REACTIVATION'],
        [1, 2, 3, 4, 5],
        if(details['subscription_id'] = '', 0, 3)
    ),
    source_rank,
    toUnixTimestamp64Micro(event_time),
    xxHash64(event_id),
    traffic IN ('INTERNAL', 'TEST'),
    cycle
FROM events FINAL
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND NOT startsWith(conversion_id, 's1:')
    AND (%(everything)s OR conversion_id IN
    (
        /*related_ids*/
    ))
    AND (
        details['lead_id'] != ''
        OR details['root_order_id'] != ''
        OR (details['subscription_id'] != '' AND details['subscription_id'] IN
        (
            SELECT details['subscription_id']
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
                AND (
                    conversion_id IN
                    (
                        SELECT conversion_id
                        FROM reconciliation_targets
                        WHERE reconciliation_id = %(run)s
                    )
                    OR (/*is_first*/ AND (conversion_name, store, order_id) IN
                    (
                        SELECT
                            conversion_name,
                            store,
                            order_id
                        FROM events
                        WHERE workspace = %(workspace)s
                            AND kind = 'conversion'
                            AND order_id != ''
                            AND conversion_id IN
                            (
                                SELECT conversion_id
                                FROM reconciliation_targets
                                WHERE reconciliation_id = %(run)s
                            )
                    ))
                )
        ))
        OR /*is_first*/
        OR (cycle = '' AND order_id != '' AND (conversion_name, store, order_id) IN
        (
            SELECT
                conversion_name,
                store,
                order_id
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
                AND (%(everything)s OR conversion_id IN
                (
                    /*related_ids*/
                ))
                AND /*is_first*/
        ))
        OR (order_id != '' AND (store, order_id) IN
        (
            SELECT
                store,
                details['root_order_id']
            FROM events
            WHERE workspace = %(workspace)s
                AND kind = 'conversion'
                AND details['root_order_id'] != ''
        ))
        OR conversion_id IN
        (
            SELECT conversion_id
            FROM stand_ins
            WHERE workspace = %(workspace)s
                AND role IN (2, 5)
        )
    )
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
