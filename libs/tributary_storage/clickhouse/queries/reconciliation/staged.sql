-- Some conversions of a slice, as a run read them: each with the identity tokens of the observation that says whose it is.
SELECT
    conversion_id,
    tokens
FROM reconciliation_conversions FINAL
WHERE reconciliation_id = %(run)s
    AND slice = %(slice)s
    AND conversion_id IN %(conversions)s
