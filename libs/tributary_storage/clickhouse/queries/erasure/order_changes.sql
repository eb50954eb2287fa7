-- What changed the orders of conversions whose people were erased, in event order.
SELECT
    conversion_id,
    event_id,
    accept_time,
    admitted
FROM order_changes FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversion_ids)s
ORDER BY
    conversion_id,
    time,
    hash,
    event_id
