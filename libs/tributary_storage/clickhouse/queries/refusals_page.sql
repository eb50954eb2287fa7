-- One page of refusals, newest first, by the key of the table in reverse. FINAL: a row written again is one refusal.
SELECT
    toUnixTimestamp64Micro(accept_time) AS refuse_micros,
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index,
    event_id,
    verdict,
    reason_codes,
    reason_fields,
    reason_messages,
    conversion_id,
    api_key_id,
    payload_digest,
    admitted
FROM refusals FINAL
WHERE workspace = %(workspace)s
    AND accept_time >= fromUnixTimestamp64Micro(%(start)s, 'UTC')
    AND accept_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND (%(any_id)s OR event_id IN %(event_ids)s)
    AND (%(any_reason)s OR hasAny(reason_codes, %(reason_codes)s))
    AND verdict IN %(verdicts)s
    AND (
        accept_time,
        log_shard,
        log_lane,
        log_milliseconds,
        log_sequence,
        log_index
    ) < (fromUnixTimestamp64Micro(%(at)s, 'UTC'), %(shard)s, %(lane)s, %(milliseconds)s, %(sequence)s, %(index)s)
ORDER BY
    accept_time DESC,
    log_shard DESC,
    log_lane DESC,
    log_milliseconds DESC,
    log_sequence DESC,
    log_index DESC
LIMIT %(limit)s
