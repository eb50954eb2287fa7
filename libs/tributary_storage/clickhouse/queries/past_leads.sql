-- What was ever observed of some leads, and of the stages of leads that orders name: `conversions` has of each what one
-- observer calls its lead, and another may call it otherwise. In parts, each by the index that finds it.
SELECT
    conversion_id,
    conversion_name,
    store,
    details['lead_id'] AS lead_id,
    details['root_order_id'] AS root_order_id
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND NOT startsWith(conversion_id, 's1:')
    AND details['lead_id'] IN %(leads)s
UNION DISTINCT
SELECT
    conversion_id,
    conversion_name,
    store,
    details['lead_id'] AS lead_id,
    details['root_order_id'] AS root_order_id
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
    AND NOT startsWith(conversion_id, 's1:')
    AND details['root_order_id'] IN %(roots)s
    AND (store, details['root_order_id']) IN %(orders)s
SETTINGS optimize_functions_to_subcolumns = 0 -- else it looks for an index of another name
