-- The deals of a person: whose contact they were until a moment, of their orders, and of their leads where no contact is
-- named; of these by digests. A deal that names a shop in any of its states is of an order of that shop.
WITH
    (kind, store_of, number) -> lower(hex(sipHash128Keyed(
        (toUInt64(%(first)s), toUInt64(%(second)s)),
        concat(kind, '\0', store_of, '\0', number)
    ))) AS digest
SELECT DISTINCT
    system,
    deal_id
FROM deals
WHERE workspace = %(workspace)s
    AND NOT erased
    AND (
        (contact_token IN %(tokens)s AND modify_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC'))
        OR (store != '' AND order_id != '' AND digest('order', CAST(store AS String), order_id) IN %(numbers)s)
        OR (store = '' AND order_id != '' AND digest('order', '', order_id) IN %(numbers)s AND (system, deal_id) NOT IN
        (
            SELECT
                system,
                deal_id
            FROM deals
            WHERE workspace = %(workspace)s
                AND store != ''
                AND digest('order', '', order_id) IN %(numbers)s
        ))
        OR (lead_id != '' AND digest('lead', '', lead_id) IN %(numbers)s AND contact_token = '')
    )
ORDER BY
    system,
    deal_id
