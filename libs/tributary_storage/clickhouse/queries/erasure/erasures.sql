-- Erasures as they are now; FINAL: the highest version. All, or one.
SELECT
    workspace,
    erasure_id,
    toUnixTimestamp64Micro(request_time),
    toUnixTimestamp64Micro(until_time),
    mode,
    state,
    person_keys,
    destroyed,
    remaining,
    requested_by,
    reason,
    data_key_names,
    severed_orders,
    severed_before
FROM erasures FINAL
WHERE %(erasure_id)s = '' OR (workspace = %(workspace)s AND erasure_id = %(erasure_id)s)
ORDER BY
    request_time,
    erasure_id
