-- The deals of a person: whose contact they were until a moment, of their orders, and of their leads where no contact is
-- named. A deal that names a shop in any of its states is of an order of that shop.
SELECT DISTINCT
    system,
    deal_id
FROM deals
WHERE workspace = %(workspace)s
    AND NOT erased
    AND (
        (contact_token IN %(tokens)s AND modify_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC'))
        OR (store != '' AND order_id != '' AND (store, order_id) IN %(store_orders)s)
        OR (store = '' AND order_id != '' AND order_id IN %(orders)s AND (system, deal_id) NOT IN
        (
            SELECT
                system,
                deal_id
            FROM deals
            WHERE workspace = %(workspace)s
                AND store != ''
                AND order_id IN %(orders)s
        ))
        OR (lead_id != '' AND lead_id IN %(leads)s AND contact_token = '')
    )
ORDER BY
    system,
    deal_id
