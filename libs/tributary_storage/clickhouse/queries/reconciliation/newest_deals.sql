-- The newest state of each deal of a workspace. None that our own destinations made, and none of somebody who was erased,
-- as none of their conversions is compared.
SELECT *
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
