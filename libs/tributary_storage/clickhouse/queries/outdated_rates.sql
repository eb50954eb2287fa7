-- Conversions in another currency than the reporting one whose day has a rate now that they are not pinned to. What an
-- erasure severed is frozen.
SELECT
    toUnixTimestamp64Micro(conversion_time) AS time,
    conversion_id
FROM
(
    SELECT
        conversion_time,
        conversion_id,
        currency,
        rate_picos,
        reporting_currency,
        toDate32(toTimeZone(conversion_time, %(time_zone)s)) AS day
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_time >= toDateTime64(toDate32(%(first)s), 6, 'UTC') - INTERVAL 1 DAY
        AND conversion_time < toDateTime64(toDate32(%(last)s), 6, 'UTC') + INTERVAL 2 DAY
        AND currency NOT IN ('', %(quote)s)
        AND NOT startsWith(conversion_id, 's1:')
) AS c
INNER JOIN
(
    SELECT
        date,
        base_currency,
        argMax(rate_picos, publish_time) AS newest
    FROM exchange_rates
    WHERE workspace = %(workspace)s
        AND quote_currency = %(quote)s
        AND date >= toDate32(%(first)s)
        AND date <= toDate32(%(last)s)
    GROUP BY
        date,
        base_currency
) AS r ON r.date = c.day AND r.base_currency = c.currency
WHERE (c.rate_picos != r.newest OR c.reporting_currency != %(quote)s)
    AND (time, conversion_id) > (%(at)s, %(after_id)s)
ORDER BY
    time,
    conversion_id
LIMIT %(limit)s
