-- Keeps of the events of a month, before they are deleted, what people are made of: of every pair of identifiers the first
-- event that carried both, and of identifiers that may be shared devices one per customer and day. Of these stays which
-- identifiers were seen together, and when: nothing else is a sighting's. The row replaces that of the event. One part of
-- the identifiers, by the hash of the first of a pair, so that what is held in memory is bounded.
INSERT INTO events
(
    workspace,
    event_time,
    event_id,
    kind,
    verdict,
    accept_time,
    record_time,
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index,
    api_key_id,
    backfill,
    identity_tokens,
    payload_digest
)
SELECT
    workspace,
    event_time,
    event_id,
    %(sighting)s,
    verdict,
    accept_time,
    record_time,
    log_shard,
    log_lane,
    log_milliseconds,
    log_sequence,
    log_index,
    api_key_id,
    backfill,
    identity_tokens,
    payload_digest
FROM events FINAL
WHERE workspace = %(workspace)s
    AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
    AND kind IN %(kinds)s
    AND accept_time < fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
    AND (event_time, event_id) IN
    (
        SELECT
            place.1,
            place.3
        FROM
        (
            SELECT min((event_time, xxHash64(event_id), event_id)) AS place
            FROM events
            ARRAY JOIN identity_tokens AS first
            ARRAY JOIN identity_tokens AS second
            WHERE workspace = %(workspace)s
                AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                AND verdict != 'QUARANTINED'
                AND length(identity_tokens) > 1
                AND first < second
                AND xxHash64(first) %% %(parts)s = %(part)s
            GROUP BY
                first,
                second
            HAVING place.1 >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            UNION ALL
            SELECT min((event_time, xxHash64(event_id), event_id)) AS place
            FROM events
            ARRAY JOIN identity_tokens AS token
            ARRAY JOIN identity_tokens AS customer
            WHERE workspace = %(workspace)s
                AND event_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
                AND event_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
                AND verdict != 'QUARANTINED'
                AND startsWith(customer, 'customer:')
                AND xxHash64(token) %% %(parts)s = %(part)s
                AND token IN
                (
                    SELECT token
                    FROM events
                    ARRAY JOIN identity_tokens AS token
                    ARRAY JOIN identity_tokens AS customer
                    WHERE workspace = %(workspace)s
                        AND event_time >= fromUnixTimestamp64Micro(%(begin)s - %(reach)s, 'UTC')
                        AND event_time < fromUnixTimestamp64Micro(%(end)s + %(reach)s, 'UTC')
                        AND verdict != 'QUARANTINED'
                        AND startsWith(customer, 'customer:')
                        AND NOT startsWith(token, 'customer:')
                        AND xxHash64(token) %% %(parts)s = %(part)s
                    GROUP BY token
                    HAVING uniqExact(customer) > %(customers)s
                )
            GROUP BY
                token,
                customer,
                toDate(event_time)
        )
    )
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_insert_threads = 1,
    max_bytes_before_external_group_by = %(spill)s
