-- The counted conversions with one of these numbers, whenever they were.
SELECT
    conversion_id,
    name,
    order_id,
    lead_id,
    currency,
    value_micros,
    toUnixTimestamp64Micro(conversion_time) AS time,
    []::Array(String) AS tokens,
    store
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND counted
    AND NOT startsWith(conversion_id, 's1:')
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM conversions
        WHERE workspace = %(workspace)s
            AND (
                (order_id != '' AND order_id IN %(orders)s)
                OR (lead_id != '' AND lead_id IN %(leads)s)
            )
    )
ORDER BY
    time,
    conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
