-- The conversion names that the deals of a workspace are outcomes of; an empty one where one names none. No row: no CRM.
SELECT DISTINCT conversion_name
FROM deals
WHERE workspace = %(workspace)s
    AND NOT erased
    AND NOT match(created_by, %(own_creators)s)
