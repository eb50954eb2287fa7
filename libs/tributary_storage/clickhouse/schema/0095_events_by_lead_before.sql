-- Finds likewise what was observed before, too.
ALTER TABLE events /*ON CLUSTER*/
    MATERIALIZE INDEX by_lead_id,
    MATERIALIZE INDEX by_root_order_id
