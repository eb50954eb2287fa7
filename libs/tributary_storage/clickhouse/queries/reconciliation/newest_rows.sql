-- What `conversions` has of some conversions.
SELECT /*newest_columns*/
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
