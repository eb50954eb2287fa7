-- Which of some deals, of which nothing is known yet, have a number that is kept with an erasure: nearly none, and only of
-- these is it asked whether somebody else has it by now (`deals_of_erased`), which reads conversions.
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
            deal.5 AS lead_id
    )
SELECT DISTINCT
    system,
    deal_id
FROM asked
WHERE (order_id != '' AND digest('order', shop, order_id) IN (SELECT number FROM numbers))
    OR (lead_id != '' AND digest('lead', '', lead_id) IN (SELECT number FROM numbers))
