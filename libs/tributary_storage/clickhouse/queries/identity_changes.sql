-- The merges and splits that concerned some identifiers, newest first. FINAL: one that was written again is one.
SELECT
    change_id,
    toUnixTimestamp64Micro(change_time),
    kind,
    person_ids_before,
    person_ids_after,
    tokens_before,
    tokens_after,
    undo,
    causing_event_id,
    undone_change_id
FROM identity_changes FINAL
WHERE workspace = %(workspace)s
    AND arrayExists(person -> hasAny(person, %(tokens)s), arrayConcat(tokens_before, tokens_after))
ORDER BY record_time DESC, change_time DESC, change_id
LIMIT %(limit)s
