-- The newest rate of each currency on days of books, each of a workspace and its reporting currency.
SELECT
    workspace,
    quote_currency,
    date,
    base_currency,
    argMax(rate_picos, publish_time) AS rate
FROM exchange_rates
WHERE (workspace, quote_currency, date) IN %(days)s
GROUP BY
    workspace,
    quote_currency,
    date,
    base_currency
