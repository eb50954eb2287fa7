-- How many rates were imported since a moment, and of which days.
SELECT
    count(),
    min(date),
    max(date)
FROM exchange_rates
WHERE workspace = %(workspace)s
    AND quote_currency = %(quote)s
    AND import_time >= fromUnixTimestamp64Micro(%(since)s, 'UTC')
