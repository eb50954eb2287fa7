-- Deletes what operators said of a person's identifiers.
ALTER TABLE identity_words
    DELETE WHERE workspace = %(workspace)s
        AND (first IN %(tokens)s OR second IN %(tokens)s)
        AND word_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
SETTINGS mutations_sync = 2
