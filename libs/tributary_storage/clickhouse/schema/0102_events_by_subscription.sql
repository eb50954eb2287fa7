-- Finds what was observed of a subscription by any of the names that observers call it by: `conversions` has those of one
-- observer only.
ALTER TABLE events /*ON CLUSTER*/
    ADD INDEX IF NOT EXISTS by_subscription_id details['subscription_id'] TYPE bloom_filter(0.01) GRANULARITY 1
