-- All that operators said of who is who, oldest first; what was said at once in a row. FINAL: a word that was written again
-- is one.
SELECT
    event_id,
    toUnixTimestamp64Micro(word_time) AS time,
    undone_change_id,
    first,
    second,
    word
FROM identity_words FINAL
WHERE workspace = %(workspace)s
ORDER BY
    time,
    event_id,
    first,
    second
