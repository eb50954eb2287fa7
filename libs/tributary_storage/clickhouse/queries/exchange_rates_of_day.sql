-- The newest rate of each currency on a day of the books.
SELECT
    base_currency,
    argMax(rate_picos, publish_time) AS rate
FROM exchange_rates
WHERE workspace = %(workspace)s
    AND date = toDate32(%(date)s)
    AND quote_currency = %(quote)s
GROUP BY base_currency
