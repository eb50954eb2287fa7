-- Deletes what a person decided about consent.
ALTER TABLE consent_decisions
    DELETE WHERE workspace = %(workspace)s
        AND identity_token IN %(tokens)s
        AND decision_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
SETTINGS mutations_sync = 2
