-- What families go on knowing of conversions whose people were erased.
SELECT
    conversion_id,
    role,
    families
FROM stand_ins FINAL
WHERE workspace = %(workspace)s
    AND hasAny(families, %(families)s)
ORDER BY
    conversion_id,
    role,
    families
