-- The counted conversions of some days, as a CRM's deals are compared with them.
SELECT
    conversion_id,
    name,
    order_id,
    lead_id,
    currency,
    value_micros,
    toUnixTimestamp64Micro(conversion_time) AS time,
    r.tokens
FROM
(
    SELECT *
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND counted
        AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
        AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
) AS c
LEFT JOIN
(
    SELECT
        conversion_id,
        tokens
    FROM reconciliation_conversions FINAL
    WHERE reconciliation_id = %(run)s
) AS r ON r.conversion_id = c.conversion_id
ORDER BY
    time,
    conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
