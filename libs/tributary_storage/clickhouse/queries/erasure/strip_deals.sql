-- Takes whose they were out of deals, in all their states; stage, amount and day stay, by the CRM's own name of the deal.
ALTER TABLE deals
    UPDATE
        order_id = '',
        lead_id = '',
        contact_id = '',
        account_id = '',
        contact_token = '',
        created_by = if(created_by IN %(tokens)s, '', created_by),
        erased = true
    WHERE workspace = %(workspace)s
        AND (system, deal_id) IN %(deals)s
SETTINGS mutations_sync = 2
