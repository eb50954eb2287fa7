-- Per deal its newest state, and what it was at the given times.
SELECT
    system,
    deal_id,
    max(toUnixTimestamp64Micro(modify_time)) AS newest,
    groupUniqArrayIf(
        (
            toUnixTimestamp64Micro(modify_time),
            (
                stage,
                status,
                currency,
                amount_micros,
                order_id,
                lead_id,
                contact_id,
                account_id,
                contact_token,
                created_by,
                close_date,
                conversion_name,
                store
            )
        ),
        toUnixTimestamp64Micro(modify_time) IN %(times)s
    ) AS known,
    max(erased) AS is_erased
FROM deals
WHERE workspace = %(workspace)s
    AND (system, deal_id) IN %(deals)s
GROUP BY
    system,
    deal_id
