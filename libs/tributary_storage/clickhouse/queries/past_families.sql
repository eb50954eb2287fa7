-- What was ever published of some leads and subscriptions, of the stages of leads that orders name, and of first cycles
-- by the numbers of their orders; what other observers called a lead or a subscription say `past_leads` and
-- `past_subscriptions`. What was published before `root_order_id` was kept is found by an order only where that is the
-- number of the stage itself.
SELECT DISTINCT
    conversion_id,
    name,
    store,
    order_id,
    cycle,
    lead_id,
    subscription_id,
    recurrence_kind,
    root_order_id
FROM conversions
WHERE workspace = %(workspace)s
    AND (
        lead_id IN %(leads)s
        OR (store, root_order_id) IN %(orders)s
        OR (store, subscription_id) IN %(subscriptions)s
        OR ((store, order_id) IN %(orders)s AND startsWith(cycle, %(stage)s))
        OR ((name, store, order_id) IN %(firsts)s AND cycle != '' AND recurrence_kind = 'FIRST')
    )
ORDER BY conversion_id
