-- What the parts of the conversions of leads and subscriptions say, as a run has read them.
SELECT
    conversion_id,
    slice,
    person,
    time,
    hash,
    session,
    counted,
    is_internal,
    original_micros,
    accept_time,
    tokens
FROM reconciliation_conversions FINAL
WHERE reconciliation_id = %(run)s
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM reconciliation_families
        WHERE reconciliation_id = %(run)s
    )
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
