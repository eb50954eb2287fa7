-- Deletes how a person became one; what else names the person is stripped (`strip_identity_changes`).
ALTER TABLE identity_changes
    DELETE WHERE workspace = %(workspace)s
        AND hasAny(identity_tokens, %(token_list)s)
        AND change_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
SETTINGS mutations_sync = 2
