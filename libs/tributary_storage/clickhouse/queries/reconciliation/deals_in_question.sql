-- The newest state of each deal that the conversions in question may be, by number or by day, and of each that a finding
-- is about; a deal without a day is of the day on which the CRM changed it last. None that our own destinations made, and
-- none of somebody who was erased, as none of their conversions is compared.
SELECT
    system,
    deal_id,
    status,
    currency,
    amount_micros,
    order_id,
    lead_id,
    contact_token,
    conversion_name,
    if(isNull(close_date), -1, toInt32(close_date)) AS close_day,
    toUnixTimestamp64Micro(modify_time) AS modify_micros
FROM
(
    SELECT *
    FROM deals
    WHERE workspace = %(workspace)s
    ORDER BY modify_time DESC
    LIMIT 1 BY
        system,
        deal_id
)
WHERE NOT erased
    AND NOT match(created_by, %(own_creators)s)
    AND (
        (
            ifNull(close_date, toDate32(modify_time)) >= toDate32(fromUnixTimestamp64Micro(%(due_begin)s, 'UTC')) - %(days)s - 1
            AND ifNull(close_date, toDate32(modify_time)) <= toDate32(fromUnixTimestamp64Micro(%(end)s, 'UTC')) + %(days)s + 1
        )
        OR (order_id != '' AND order_id IN (SELECT order_id FROM (/*conversions_in_question*/)))
        OR (lead_id != '' AND lead_id IN (SELECT lead_id FROM (/*conversions_in_question*/)))
        OR concat(system, '/', deal_id) IN
        (
            /*named_by_findings*/
        )
    )
