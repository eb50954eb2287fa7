-- The newest state of each deal that the conversions in question may be, by number or by day, and of each that a finding
-- is about; a deal without a day is of the day on which the CRM changed it last.
SELECT *
FROM
(
    /*newest_deals*/
)
WHERE (
        ifNull(close_date, toDate32(modify_time)) >= toDate32(fromUnixTimestamp64Micro(%(due_begin)s, 'UTC')) - %(days)s - 1
        AND ifNull(close_date, toDate32(modify_time)) <= toDate32(fromUnixTimestamp64Micro(%(end)s, 'UTC')) + %(days)s + 1
    )
    OR (order_id != '' AND order_id IN (SELECT order_id FROM (/*conversions_in_question*/)))
    OR (lead_id != '' AND lead_id IN (SELECT lead_id FROM (/*conversions_in_question*/)))
    OR concat(system, '/', deal_id) IN
    (
        /*named_by_findings*/
    )
