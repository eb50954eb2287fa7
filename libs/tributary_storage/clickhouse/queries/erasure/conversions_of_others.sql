-- Those of some conversions that are published of somebody whom an erasure is not about.
SELECT DISTINCT conversion_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversions)s
    AND person_id != ''
    AND person_id NOT IN %(person_keys)s
