-- Finds what was observed of a lead by any of the names that observers call it by: `conversions` has those of one observer
-- only.
ALTER TABLE events /*ON CLUSTER*/
    ADD INDEX IF NOT EXISTS by_lead_id details['lead_id'] TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_root_order_id details['root_order_id'] TYPE bloom_filter(0.01) GRANULARITY 1
