-- By what numbers a person's conversions are known to others: order numbers that no other conversion of any shop has, which
-- tell whose a deal is that names no shop; shops with order numbers that no other conversion of that shop has; ids of leads
-- that nobody else's conversion is a stage of. Each as its digest; and beside these the digests that are kept with erasures
-- of the same identifiers.
WITH
    (kind, store_of, number) -> lower(hex(sipHash128Keyed(
        (toUInt64(%(first)s), toUInt64(%(second)s)),
        concat(kind, '\0', store_of, '\0', number)
    ))) AS digest,
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
    ),
    leads_of_others AS
    (
        SELECT DISTINCT lead_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND lead_id IN (SELECT lead_id FROM numbers WHERE lead_id != '')
            AND conversion_id NOT IN %(conversions)s
    )
SELECT
    arrayConcat(
        groupUniqArrayIf(
            digest('order', '', order_id),
            order_id != '' AND order_id NOT IN (SELECT order_id FROM of_others)
        ),
        groupUniqArrayIf(
            digest('order', shop, order_id),
            shop != '' AND order_id != '' AND (shop, order_id) NOT IN (SELECT shop, order_id FROM of_others)
        ),
        groupUniqArrayIf(
            digest('lead', '', lead_id),
            lead_id != '' AND lead_id NOT IN (SELECT lead_id FROM leads_of_others)
        )
    ),
    (
        SELECT groupUniqArrayArray(deal_numbers)
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
            AND hasAny(person_keys, %(person_keys)s)
    )
FROM numbers
