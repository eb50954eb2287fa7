-- The counted conversions that a run asks a CRM about: of its days, those that came due in its days, and those that a
-- finding is about which is not resolved. Not those of people who were erased: whose deal they were, nobody can tell.
SELECT
    conversion_id,
    order_id,
    lead_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND counted
    AND NOT startsWith(conversion_id, 's1:')
    AND (
        (
            conversion_time >= fromUnixTimestamp64Micro(%(begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(end)s, 'UTC')
        )
        OR (
            conversion_time >= fromUnixTimestamp64Micro(%(due_begin)s, 'UTC')
            AND conversion_time < fromUnixTimestamp64Micro(%(due_end)s, 'UTC')
        )
        OR conversion_id IN
        (
            /*named_by_findings*/
        )
    )
