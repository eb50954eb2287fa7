-- Which of some deals, of which nothing is known yet, name conversions of people who were erased, in each of the states that
-- are given: by the digests that are kept with erasures. As when somebody is erased (`erasure/deals_of_person`), a number
-- that a conversion has by now, and beside a contact whom events know, one without a shop, and a lead, tell nothing.
WITH
    (kind, store_of, number) -> lower(hex(sipHash128Keyed(
        (toUInt64(%(first)s), toUInt64(%(second)s)),
        concat(kind, '\0', store_of, '\0', number)
    ))) AS digest,
    numbers AS
    (
        SELECT arrayJoin(deal_numbers) AS number
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
    ),
    asked AS
    (
        SELECT
            arrayJoin(%(deals)s) AS deal,
            deal.1 AS system,
            deal.2 AS deal_id,
            deal.3 AS shop,
            deal.4 AS order_id,
            deal.5 AS lead_id,
            deal.6 AS contact
    ),
    orders AS
    (
        SELECT DISTINCT
            CAST(store AS String) AS shop,
            order_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND order_id != ''
            AND order_id IN (SELECT order_id FROM asked)
    ),
    leads AS
    (
        SELECT DISTINCT lead_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND lead_id != ''
            AND lead_id IN (SELECT lead_id FROM asked)
    ),
    contacts AS
    (
        SELECT DISTINCT identity_token
        FROM events_by_identifier
        WHERE workspace = %(workspace)s
            AND identity_token != ''
            AND identity_token IN (SELECT contact FROM asked)
    )
SELECT
    system,
    deal_id
FROM asked
GROUP BY
    system,
    deal_id
HAVING min(
    (
        order_id != ''
        AND shop != ''
        AND digest('order', shop, order_id) IN (SELECT number FROM numbers)
        AND (shop, order_id) NOT IN (SELECT shop, order_id FROM orders)
    )
    OR (
        order_id != ''
        AND shop = ''
        AND digest('order', '', order_id) IN (SELECT number FROM numbers)
        AND order_id NOT IN (SELECT order_id FROM orders)
        AND contact NOT IN (SELECT identity_token FROM contacts)
    )
    OR (
        lead_id != ''
        AND contact = ''
        AND digest('lead', '', lead_id) IN (SELECT number FROM numbers)
        AND lead_id NOT IN (SELECT lead_id FROM leads)
    )
)
