-- By what conversions name their leads, in order, from one place on. What was erased names none.
SELECT DISTINCT
    CAST(store AS String) AS shop,
    details['lead_id'] AS lead,
    details['root_order_id'] AS root
FROM events
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND (details['lead_id'] != '' OR details['root_order_id'] != '')
    AND (CAST(store AS String), details['lead_id'], details['root_order_id'])
        > (%(after_store)s, %(after_lead_id)s, %(after_root_order_id)s)
ORDER BY
    shop,
    lead,
    root
LIMIT %(limit)s
