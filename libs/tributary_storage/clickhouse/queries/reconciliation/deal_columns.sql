-- What a deal is matched by.
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
    toUnixTimestamp64Micro(modify_time) AS modify_micros,
    store
