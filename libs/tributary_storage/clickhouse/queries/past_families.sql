-- What was ever published of some leads and subscriptions, of the stages of leads that orders name, and of first cycles
-- by the numbers of their orders.
SELECT DISTINCT
    conversion_id,
    name,
    store,
    order_id,
    cycle,
    lead_id,
    subscription_id,
    recurrence_kind
FROM conversions
WHERE workspace = %(workspace)s
    AND (
        lead_id IN %(leads)s
        OR (store, subscription_id) IN %(subscriptions)s
        OR ((store, order_id) IN %(orders)s AND startsWith(cycle, %(stage)s))
        OR ((name, store, order_id) IN %(firsts)s AND cycle != '' AND recurrence_kind = 'FIRST')
    )
ORDER BY conversion_id
