-- What stand-ins are made of, each once.
SELECT
    conversion_id,
    accept_time,
    admitted,
    revised
FROM stand_ins FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversion_ids)s
    AND revised != ''
ORDER BY conversion_id
LIMIT 1 BY conversion_id
