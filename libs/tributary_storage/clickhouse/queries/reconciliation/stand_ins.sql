-- What leads and subscriptions go on knowing of conversions whose people were erased, once that has taken their
-- place.
SELECT
    conversion_id,
    role,
    families,
    stage,
    kind,
    time,
    revised != '',
    source_rank,
    hash
FROM stand_ins FINAL
WHERE workspace = %(workspace)s
    AND role != 0
ORDER BY
    conversion_id,
    role,
    families
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
