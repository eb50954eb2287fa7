-- One merge or split, by its id.
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
    AND change_id = %(change_id)s
LIMIT 1
