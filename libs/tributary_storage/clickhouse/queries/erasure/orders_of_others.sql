-- Which orders of some numbers are published as conversions that are none of a person's: told with another cycle, or without.
SELECT DISTINCT
    CAST(name AS String),
    CAST(store AS String),
    order_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND order_id IN %(order_ids)s
    AND conversion_id NOT IN %(conversions)s
