-- How many conversions erasures may have taken, at most, and how many were withdrawn already.
SELECT
    sum(destroyed['conversion_revisions']),
    (
        SELECT sum(length(conversion_ids))
        FROM warehouse_batches FINAL
        WHERE workspace = %(workspace)s
            AND destination_id = %(destination_id)s
            AND kind = 'withdrawals'
    )
FROM erasures FINAL
WHERE workspace = %(workspace)s
    AND state IN ('destroyed', 'finished')
