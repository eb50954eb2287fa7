-- Finds the conversions of a lead, of a subscription, or with an order number, without reading all of a workspace.
ALTER TABLE conversions /*ON CLUSTER*/
    ADD INDEX IF NOT EXISTS by_lead_id lead_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_subscription_id subscription_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_order_id order_id TYPE bloom_filter(0.01) GRANULARITY 1
