-- How many conversions a round added.
SELECT uniqExact(conversion_id)
FROM reconciliation_related
WHERE reconciliation_id = %(run)s
    AND round = %(round)s
