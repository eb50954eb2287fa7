-- What was ever published of some leads and subscriptions, and of the stages of leads that orders name.
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
    )
ORDER BY conversion_id
