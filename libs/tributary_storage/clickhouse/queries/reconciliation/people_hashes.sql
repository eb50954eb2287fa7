SELECT xxHash64(identity_token)
FROM reconciliation_people
WHERE reconciliation_id = %(run)s
