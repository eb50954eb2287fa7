-- What stand-ins are made of, each once, as it was stored last.
SELECT
    conversion_id,
    name,
    store,
    currency,
    amount_micros,
    original_micros,
    stage,
    kind,
    time,
    hash,
    accept_time,
    admitted,
    revised,
    source_rank,
    is_retracted
FROM stand_ins FINAL
WHERE workspace = %(workspace)s
    AND conversion_id IN %(conversion_ids)s
    AND revised != ''
ORDER BY
    conversion_id,
    version DESC
LIMIT 1 BY conversion_id
