-- By what numbers a person's conversions are known to others. An order number that another shop has given too is not
-- among them: whose a deal of it is, it does not tell.
WITH numbers AS
(
    SELECT
        conversion_id,
        order_id,
        lead_id
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
)
SELECT
    groupUniqArrayIf(
        order_id,
        order_id != '' AND order_id NOT IN
        (
            SELECT order_id
            FROM conversions FINAL
            WHERE workspace = %(workspace)s
                AND order_id IN (SELECT order_id FROM numbers)
                AND conversion_id NOT IN %(conversions)s
        )
    ),
    groupUniqArrayIf(lead_id, lead_id != '')
FROM numbers
