-- By what conversions of one family are named: leads, subscriptions, and order numbers, as their own and as the lead's.
arrayJoin(arrayFilter(
    name -> name.3 != '',
    [
        ('lead', '', details['lead_id']),
        ('order', CAST(store AS String), details['root_order_id']),
        ('order', CAST(store AS String), CAST(order_id AS String)),
        ('subscription', '', details['subscription_id'])
    ]
))
