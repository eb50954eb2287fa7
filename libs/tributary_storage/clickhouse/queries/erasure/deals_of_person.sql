-- The deals of a person: whose contact they were until a moment, of their orders, and of their leads where no contact of
-- another is named in any of their states; of these by digests. A deal that names a shop in any of its states is of an order
-- of that shop. Digests are kept for ever, and numbers are given again: one that a conversion of another has by now, a lead
-- that is another's too, tells nothing, and a deal that names no shop is not theirs if its contact, in any of its states, is
-- known by events of another.
WITH
    (kind, store_of, number) -> lower(hex(sipHash128Keyed(
        (toUInt64(%(first)s), toUInt64(%(second)s)),
        concat(kind, '\0', store_of, '\0', number)
    ))) AS digest,
    by_order AS
    (
        SELECT
            system,
            deal_id,
            CAST(store AS String) AS shop,
            order_id
        FROM deals
        WHERE workspace = %(workspace)s
            AND NOT erased
            AND order_id != ''
            AND digest('order', CAST(store AS String), order_id) IN %(numbers)s
    ),
    of_others AS
    (
        SELECT DISTINCT
            CAST(store AS String) AS shop,
            order_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND order_id IN (SELECT order_id FROM by_order)
            AND conversion_id NOT IN %(conversions)s
    ),
    by_lead AS
    (
        SELECT
            system,
            deal_id,
            lead_id
        FROM deals
        WHERE workspace = %(workspace)s
            AND NOT erased
            AND lead_id != ''
            AND contact_token = ''
            AND digest('lead', '', lead_id) IN %(numbers)s
    ),
    leads_of_others AS
    (
        SELECT DISTINCT lead_id
        FROM conversions FINAL
        WHERE workspace = %(workspace)s
            AND lead_id IN (SELECT lead_id FROM by_lead)
            AND conversion_id NOT IN %(conversions)s
    ),
    contacts AS
    (
        SELECT DISTINCT contact_token
        FROM deals
        WHERE workspace = %(workspace)s
            AND contact_token != ''
            AND (system, deal_id) IN (SELECT system, deal_id FROM by_order WHERE shop = '')
    ),
    tokens_of_others AS
    (
        SELECT DISTINCT arrayJoin(arrayFilter(token -> token NOT IN %(tokens)s, identity_tokens)) AS token
        FROM events
        WHERE workspace = %(workspace)s
            AND (event_time, event_id) IN
            (
                SELECT
                    event_time,
                    event_id
                FROM events_by_identifier
                WHERE workspace = %(workspace)s
                    AND identity_token IN (SELECT contact_token FROM contacts)
            )
            AND /*home*/
                NOT IN %(tokens)s
    )
SELECT DISTINCT
    system,
    deal_id
FROM deals
WHERE workspace = %(workspace)s
    AND NOT erased
    AND (
        (contact_token IN %(tokens)s AND modify_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC'))
        OR (system, deal_id) IN
        (
            SELECT
                system,
                deal_id
            FROM by_order
            WHERE shop != ''
                AND (shop, order_id) NOT IN (SELECT shop, order_id FROM of_others)
        )
        OR (system, deal_id) IN
        (
            SELECT
                system,
                deal_id
            FROM by_order
            WHERE shop = ''
                AND order_id NOT IN (SELECT order_id FROM of_others)
                AND (system, deal_id) NOT IN
                (
                    SELECT
                        system,
                        deal_id
                    FROM deals
                    WHERE workspace = %(workspace)s
                        AND (
                            (store != '' AND digest('order', '', order_id) IN %(numbers)s)
                            OR contact_token IN (SELECT token FROM tokens_of_others)
                        )
                )
        )
        OR (system, deal_id) IN
        (
            SELECT
                system,
                deal_id
            FROM by_lead
            WHERE lead_id NOT IN (SELECT lead_id FROM leads_of_others)
                AND (system, deal_id) NOT IN
                (
                    SELECT
                        system,
                        deal_id
                    FROM deals
                    WHERE workspace = %(workspace)s
                        AND contact_token != ''
                        AND contact_token NOT IN %(tokens)s
                )
        )
    )
ORDER BY
    system,
    deal_id
