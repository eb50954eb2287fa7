-- What was ever observed of some subscriptions: `conversions` has of each cycle what one observer calls its subscription,
-- and another may call it otherwise.
SELECT DISTINCT
    conversion_id,
    conversion_name,
    store,
    order_id,
    cycle,
    details['lead_id'] AS lead_id,
    details['subscription_id'] AS subscription_id,
    details['recurrence_kind'] AS recurrence_kind,
    details['root_order_id'] AS root_order_id
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND NOT startsWith(conversion_id, 's1:')
    AND details['subscription_id'] IN %(names)s
    AND (store, details['subscription_id']) IN %(subscriptions)s
ORDER BY conversion_id
SETTINGS optimize_functions_to_subcolumns = 0 -- else it looks for an index of another name
