-- Takes all that tells of a person out of recorded events: that there was an event, when, and what became of it, stays, so
-- that what was received still equals what is there. A conversion stays one, under another random id than the severed;
-- an order that is none of the erasure's was told too late to be one: nobody credited it, and nobody will, unless it was
-- under way just then (`miscalled_events`). What somebody
-- else's device told of it stays an entry of their journey, that names no order, but by its random id is told from what was
-- told of others: what the order was worth, and where, stays of what names nobody alone. Where somebody else was erased since their entry was read, it is left: the next run reads it
-- as it is now.
ALTER TABLE events
    UPDATE
        kind = if(
            kind = 'conversion'
                AND (
                    %(removes)s
                    OR NOT (
                        verdict = 'QUARANTINED'
                        OR startsWith(conversion_id, 's1:')
                        OR conversion_id IN %(conversions)s
                    )
                ),
            'erased',
            kind
        ),
        identity_tokens = if(event_id IN %(entry_ids)s, arrayFilter(token -> token NOT IN %(tokens)s, identity_tokens), []),
        session_id = if(event_id IN %(entry_ids)s, session_id, ''),
        conversion_id = if(conversion_id = '' OR startsWith(conversion_id, 's1:'), conversion_id, concat('s1:', lower(
            hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), conversion_id))))),
        address_token = '',
        page_url = '',
        referrer_host = '',
        click_id_families = [],
        click_id_values = [],
        interaction_id = '',
        order_id = '',
        store = if(event_id IN %(entry_ids)s, '', store),
        cycle = if(event_id IN %(entry_ids)s, '', cycle),
        currency = if(event_id IN %(entry_ids)s, '', currency),
        value_micros = if(event_id IN %(entry_ids)s, NULL, value_micros),
        adjustment_id = '',
        properties = map(),
        details = if(
            event_id IN %(entry_ids)s,
            mapUpdate(
                mapFilter((name, text) -> startsWith(name, 'consent_'), details),
                map('erased_order', if(startsWith(conversion_id, 's1:'), conversion_id, concat('s1:', lower(
                    hex(sipHash128Keyed((toUInt64(%(second)s), toUInt64(%(first)s)), conversion_id))))))
            ),
            map()
        ),
        traceparent = '',
        admitted = unhex(transform(event_id, %(entry_ids)s, %(entries)s, ''))
    WHERE workspace = %(workspace)s
        AND (toUnixTimestamp64Micro(event_time), event_id) IN %(events)s
        AND (
            event_id NOT IN %(entry_ids)s
            OR (
                admitted != ''
                AND transform(event_id, %(entry_ids)s, %(named)s, 0)
                    <= arrayCount(token -> token NOT IN %(tokens)s, identity_tokens)
            )
        )
SETTINGS mutations_sync = 2
