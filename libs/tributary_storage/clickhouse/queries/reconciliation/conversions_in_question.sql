-- The conversions that a run asks a CRM about, if they count: of its days, those that came due in its days, and those that
-- a finding is about which is not resolved. In any version: what counts of them is asked later, with FINAL. In parts, so
-- that each reads by its own index.
SELECT
    conversion_id,
    order_id,
    lead_id
FROM conversions
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
UNION ALL
SELECT
    conversion_id,
    order_id,
    lead_id
FROM conversions
WHERE workspace = %(workspace)s
    AND conversion_time >= fromUnixTimestamp64Micro(%(due_begin)s, 'UTC')
    AND conversion_time < fromUnixTimestamp64Micro(%(due_end)s, 'UTC')
UNION ALL
SELECT
    conversion_id,
    order_id,
    lead_id
FROM conversions
WHERE workspace = %(workspace)s
    AND conversion_id IN
    (
        /*named_by_findings*/
    )
