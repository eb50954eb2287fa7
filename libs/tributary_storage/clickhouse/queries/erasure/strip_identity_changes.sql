-- Takes a person's identifiers out of how others became who they are: joined with the person for a while, by an edge that
-- is not the person's. What would take the change back stays, as far as it is about others.
ALTER TABLE identity_changes
    UPDATE
        person_ids_before = arrayMap(id -> if(id IN %(person_keys)s, '', id), person_ids_before),
        person_ids_after = arrayMap(id -> if(id IN %(person_keys)s, '', id), person_ids_after),
        tokens_before = arrayMap(person -> arrayFilter(token -> token NOT IN %(tokens)s, person), tokens_before),
        tokens_after = arrayMap(person -> arrayFilter(token -> token NOT IN %(tokens)s, person), tokens_after),
        undo = arrayFilter(word -> NOT hasAny(word, %(token_list)s), undo)
    WHERE workspace = %(workspace)s
        AND change_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND (
            hasAny(arrayConcat(person_ids_before, person_ids_after), %(person_keys)s)
            OR arrayExists(names -> hasAny(names, %(token_list)s), arrayConcat(tokens_before, tokens_after, undo))
        )
SETTINGS mutations_sync = 2
