-- The newest revision of each copy under a random id that is there already. What its stand-in in a family has published
-- since, under the same id, has a message.
SELECT
    conversion_id,
    max(revision)
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND conversion_id IN %(copies)s
    AND revised = ''
GROUP BY conversion_id
