SELECT identity_token
FROM reconciliation_asked
WHERE reconciliation_id = %(run)s
    AND round = %(round)s
