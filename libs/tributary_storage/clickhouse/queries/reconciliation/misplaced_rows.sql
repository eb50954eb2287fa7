-- Conversions that `conversions` has not as exactly one row, of the newest revision that `conversion_revisions` has, at the
-- time that this says: the number and time of that, and of each row that there is.
-- Left out: what was published so lately that its row may be on its way, and whose person is being erased; the copies that
-- closed books keep of what was removed, which have no row for they were taken back. Of what was severed also that of which
-- the ledger has nothing: the state store would not know it either.
SELECT
    conversion_id,
    newest.1,
    newest.2,
    arrayMap(one -> (one.1, one.2), places) AS rows
FROM
(
    SELECT
        conversion_id,
        maxIf((revision, time, publish_time, person_id, not_counted_reason), NOT is_row) AS newest,
        arraySort(groupArrayIf((revision, time, publish_time), is_row)) AS places
    FROM
    (
        SELECT
            conversion_id,
            revision,
            toUnixTimestamp64Micro(conversion_time) AS time,
            publish_time,
            person_id,
            not_counted_reason,
            false AS is_row
        FROM conversion_revisions FINAL
        PREWHERE conversion_id GLOBAL IN (/*published_in_days*/)
        WHERE workspace = %(workspace)s
        UNION ALL
        SELECT
            conversion_id,
            revision,
            toUnixTimestamp64Micro(conversion_time) AS time,
            publish_time,
            '' AS person_id,
            '' AS not_counted_reason,
            true AS is_row
        FROM conversions FINAL
        PREWHERE conversion_id GLOBAL IN (/*published_in_days*/)
        WHERE workspace = %(workspace)s
    )
    GROUP BY conversion_id
)
WHERE (newest.1 > 0 OR startsWith(conversion_id, 's1:'))
    AND NOT (startsWith(conversion_id, 's1:') AND newest.5 = 'ERASED')
    AND newest.3 <= fromUnixTimestamp64Micro(%(settled)s, 'UTC')
    AND arrayMap(one -> (one.1, one.2), places) != [(newest.1, newest.2)]
    AND NOT arrayExists(
        one -> one.1 > newest.1 AND one.3 > fromUnixTimestamp64Micro(%(settled)s, 'UTC'),
        places
    )
    AND newest.4 NOT IN
    (
        SELECT arrayJoin(person_keys)
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
            AND state != 'finished'
    )
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, max_bytes_before_external_group_by = %(spill)s
