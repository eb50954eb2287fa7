-- Compares the conversions of one slice whose credit is that of one whose person was erased, or that stand in for such a
-- one, with what is stored. Touch by touch their credit is what is stored where it is from; money of counted conversions
-- adds up by other checks. One row per conversion that differs, as of `compare`.
WITH
    stored AS
    (
        /*stored*/
    ),
    frozen AS
    (
        SELECT
            r.conversion_id AS conversion_id,
            r.time AS time,
            r.tokens AS tokens,
            (
                r.name,
                r.store,
                r.order_id,
                r.time,
                r.currency,
                if(f.is_lost, 0, r.value_micros),
                r.original_micros,
                r.counted AND NOT f.is_superseded AND NOT f.is_lost,
                r.retracted OR f.is_lost,
                arraySort(r.observations)
            ) AS facts,
            f.frozen_at AS frozen_at,
            greatest(r.accept_time, f.accept_time) AS newest
        FROM
        (
            SELECT *
            FROM reconciliation_conversions FINAL
            WHERE reconciliation_id = %(run)s
                AND is_compared
        ) AS r
        INNER JOIN
        (
            SELECT *
            FROM reconciliation_families FINAL
            WHERE reconciliation_id = %(run)s
                AND is_settled
                AND frozen_at != ''
                AND slice = %(slice)s
        ) AS f ON f.conversion_id = r.conversion_id
    ),
    by_model AS
    (
        SELECT
            c.conversion_id AS conversion_id,
            c.time AS time,
            c.tokens AS tokens,
            c.facts AS facts,
            s.revision AS stored_revision,
            s.stored_facts AS stored_facts,
            model,
            arrayFilter(
                share -> share.3 != 0,
                arrayMap(
                    (touch, credit) -> (touch, 0::UInt64, toInt64(credit), 0::Int64),
                    o.touches,
                    if(empty(o.credits), [], o.credits[model_at])
                )
            ) AS shares,
            arrayConcat(
                arrayFilter(
                    share -> share.3 != 0,
                    arrayMap(
                        (touch, credit) -> (touch, 0::UInt64, toInt64(credit), 0::Int64),
                        if(empty(s.credits), [], s.touches),
                        if(empty(s.credits), [], s.credits[model_at])
                    )
                ),
                if(s.is_damaged, [('', 0::UInt64, 0::Int64, 0::Int64)], [])
            ) AS stored_shares
        FROM frozen AS c
        INNER JOIN stored AS o ON o.conversion_id = c.frozen_at
        LEFT JOIN stored AS s ON s.conversion_id = c.conversion_id
        ARRAY JOIN
            arrayEnumerate(%(models)s) AS model_at,
            %(models)s AS model
        WHERE c.newest <= %(settled)s
            AND s.publish_micros <= %(staged)s
    )
SELECT
    conversion_id,
    any(time) AS conversion_time,
    any(tokens) AS identity_tokens,
    any(stored_revision) AS revision,
    any(facts) AS expected_facts,
    any(stored_facts) AS actual_facts,
    groupArrayIf((model, shares, stored_shares), shares != stored_shares) AS credits,
    arrayDistinct(arrayFlatten(groupArray(arrayMap(share -> share.1, shares)))) AS expected_touches,
    arrayDistinct(arrayFlatten(groupArray(arrayMap(share -> share.1, stored_shares)))) AS actual_touches
FROM by_model
GROUP BY conversion_id
HAVING notEmpty(credits) OR expected_facts != actual_facts
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2, join_algorithm = 'hash'
