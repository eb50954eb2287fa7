-- The newest state of each deal that a CRM closed in some days, or that names no day; not those we made ourselves.
SELECT
    system,
    deal_id,
    status,
    currency,
    amount_micros,
    order_id,
    lead_id,
    contact_token,
    conversion_name,
    if(isNull(close_date), -1, toInt32(close_date)) AS close_day
FROM
(
    SELECT *
    FROM deals
    WHERE workspace = %(workspace)s
    ORDER BY modify_time DESC
    LIMIT 1 BY
        system,
        deal_id
)
WHERE positionCaseInsensitive(created_by, 'tributary') = 0
    AND (isNull(close_date) OR (
        close_date >= toDate32(fromUnixTimestamp64Micro(%(begin)s, 'UTC')) - %(days)s
        AND close_date <= toDate32(fromUnixTimestamp64Micro(%(end)s, 'UTC')) + %(days)s
    ))
ORDER BY
    system,
    deal_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
