-- What some conversions that count are called.
SELECT
    conversion_id,
    name
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND counted
