-- By what orders are recognised whose conversions were severed.
SELECT arrayJoin(severed_orders)
FROM erasures FINAL
WHERE workspace = %(workspace)s
