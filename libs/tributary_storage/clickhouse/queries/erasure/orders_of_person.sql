-- By what numbers a person's conversions are known to others: order numbers that no other conversion of any shop has, which
-- tell whose a deal is that names no shop; shops with order numbers that no other conversion of that shop has; lead ids.
WITH
    numbers AS
    (
        SELECT
            CAST(store AS String) AS shop,
            order_id,
            lead_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(conversions)s
    ),
    of_others AS
    (
        SELECT DISTINCT
            CAST(store AS String) AS shop,
            order_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND order_id IN (SELECT order_id FROM numbers WHERE order_id != '')
            AND conversion_id NOT IN %(conversions)s
    )
SELECT
    groupUniqArrayIf(order_id, order_id != '' AND order_id NOT IN (SELECT order_id FROM of_others)),
    groupUniqArrayIf(
        (shop, order_id),
        shop != '' AND order_id != '' AND (shop, order_id) NOT IN (SELECT shop, order_id FROM of_others)
    ),
    groupUniqArrayIf(lead_id, lead_id != '')
FROM numbers
