-- The identifiers of others who were once taken for one person with somebody, until that was undone or turned out otherwise.
SELECT DISTINCT
    arrayJoin(arrayJoin(arrayFilter(person -> hasAny(person, %(token_list)s), arrayConcat(tokens_before, tokens_after))))
        AS token
FROM identity_changes
WHERE workspace = %(workspace)s
    AND token NOT IN %(tokens)s
ORDER BY token
