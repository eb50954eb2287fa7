-- The counted conversions that a run compares with deals: those in question, and all that these deals may be, whenever
-- they were. Of their identity tokens those that are a contact's of a deal.
WITH
    deals_here AS
    (
        /*deals_in_question*/
    ),
    contacts AS
    (
        SELECT
            conversion_id,
            groupUniqArray(identity_token) AS tokens
        FROM events_by_identifier
        WHERE workspace = %(workspace)s
            AND identity_token IN (SELECT contact_token FROM deals_here WHERE contact_token != '')
            AND kind = 'conversion'
            AND verdict != 'QUARANTINED'
        GROUP BY conversion_id
    )
SELECT
    conversion_id,
    name,
    order_id,
    lead_id,
    currency,
    value_micros,
    toUnixTimestamp64Micro(conversion_time) AS time,
    t.tokens,
    store
FROM
(
    SELECT *
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND counted
        AND NOT startsWith(conversion_id, 's1:')
        AND conversion_id IN
        (
            SELECT conversion_id
            FROM (/*conversions_in_question*/)
            UNION ALL
            SELECT conversion_id
            FROM conversions
            WHERE workspace = %(workspace)s
                AND order_id IN (SELECT order_id FROM deals_here WHERE order_id != '')
            UNION ALL
            SELECT conversion_id
            FROM conversions
            WHERE workspace = %(workspace)s
                AND lead_id IN (SELECT lead_id FROM deals_here WHERE lead_id != '')
            UNION ALL
            SELECT conversion_id
            FROM contacts
        )
) AS c
LEFT JOIN contacts AS t ON t.conversion_id = c.conversion_id
ORDER BY
    time,
    conversion_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
