-- The newest state of each deal with one of these numbers or contacts, whenever it was.
SELECT
    /*deal_columns*/
FROM
(
    /*newest_deals*/
)
WHERE (order_id != '' AND order_id IN %(orders)s)
    OR (lead_id != '' AND lead_id IN %(leads)s)
    OR (contact_token != '' AND contact_token IN %(contacts)s)
ORDER BY
    system,
    deal_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
