-- Reads what stands in, in the families of a run, for conversions whose people were erased: nobody's, worth what they were.
INSERT INTO reconciliation_conversions
(
    reconciliation_id,
    slice,
    conversion_id,
    person,
    time,
    hash,
    session,
    name,
    store,
    order_id,
    currency,
    original_micros,
    value_micros,
    counted,
    retracted,
    is_internal,
    observations,
    tokens,
    accept_time,
    own_click,
    is_compared
)
SELECT
    %(run)s,
    xxHash64(conversion_id) %% %(slices)s,
    conversion_id,
    0,
    time,
    hash,
    0,
    name,
    store,
    '',
    currency,
    original_micros,
    amount_micros,
    NOT is_retracted,
    is_retracted,
    false,
    [],
    [],
    toInt64(version),
    0,
    time >= %(begin)s AND time < %(end)s
FROM stand_ins FINAL
WHERE workspace = %(workspace)s
    AND startsWith(conversion_id, 's1:')
    AND role != 0
    AND revised != ''
    AND conversion_id IN
    (
        SELECT conversion_id
        FROM reconciliation_families
        WHERE reconciliation_id = %(run)s
    )
LIMIT 1 BY conversion_id
