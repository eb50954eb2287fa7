-- Per day and pair of currencies the newest rate, and what was stated at the given times.
SELECT
    date,
    base_currency,
    quote_currency,
    max(toUnixTimestamp64Micro(publish_time)) AS newest,
    groupUniqArrayIf(
        (toUnixTimestamp64Micro(publish_time), (rate_picos, source)),
        toUnixTimestamp64Micro(publish_time) IN %(times)s
    ) AS known
FROM exchange_rates
WHERE workspace = %(workspace)s
    AND (date, base_currency, quote_currency) IN %(rates)s
GROUP BY
    date,
    base_currency,
    quote_currency
