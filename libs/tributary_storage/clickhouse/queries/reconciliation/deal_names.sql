-- The conversion names that the deals of a workspace are outcomes of, by what the CRM says now; an empty one where one
-- names none. No row: no CRM.
SELECT DISTINCT conversion_name
FROM
(
    /*newest_deals*/
)
