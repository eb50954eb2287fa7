-- How much is stored of a person until a moment, by table. FINAL is not needed: what is there in any version is there.
SELECT
    table,
    number
FROM
(
    SELECT
        'events' AS table,
        count() AS number
    FROM events
    WHERE workspace = %(workspace)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND (
            /*home*/
                IN %(tokens)s
            OR conversion_id IN %(conversions)s
        )
    UNION ALL
    SELECT
        'events_of_others' AS table,
        count() AS number
    FROM events
    WHERE workspace = %(workspace)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND hasAny(identity_tokens, %(token_list)s)
        AND /*home*/
            NOT IN %(tokens)s
        AND conversion_id NOT IN %(conversions)s
    UNION ALL
    SELECT
        'events_by_identifier' AS table,
        count() AS number
    FROM events_by_identifier
    WHERE workspace = %(workspace)s
        AND identity_token IN %(tokens)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    UNION ALL
    SELECT
        'consent_decisions' AS table,
        count() AS number
    FROM consent_decisions
    WHERE workspace = %(workspace)s
        AND identity_token IN %(tokens)s
        AND decision_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    UNION ALL
    SELECT
        'identity_changes' AS table,
        count() AS number
    FROM identity_changes
    WHERE workspace = %(workspace)s
        AND (
            hasAny(arrayConcat(identity_tokens, person_ids_before, person_ids_after), arrayConcat(%(token_list)s, %(person_keys)s))
            OR arrayExists(names -> hasAny(names, %(token_list)s), arrayConcat(tokens_before, tokens_after, undo))
        )
        AND change_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    UNION ALL
    SELECT
        'identity_words' AS table,
        count() AS number
    FROM identity_words
    WHERE workspace = %(workspace)s
        AND (first IN %(tokens)s OR second IN %(tokens)s)
        AND word_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
    UNION ALL
    SELECT
        'refusals' AS table,
        count() AS number
    FROM refusals
    WHERE workspace = %(workspace)s
        AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND /*naming*/
    UNION ALL
    SELECT
        'quarantine_decisions' AS table,
        count() AS number
    FROM quarantine_decisions
    WHERE workspace = %(workspace)s
        AND (conversion_id != '' OR reason != '')
        AND (
            conversion_id IN %(conversions)s
            OR event_id IN
            (
                SELECT event_id
                FROM events
                WHERE workspace = %(workspace)s
                    AND event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
                    AND /*home*/
                        IN %(tokens)s
            )
        )
    UNION ALL
    SELECT
        'conversion_revisions' AS table,
        count() AS number
    FROM conversion_revisions
    WHERE workspace = %(workspace)s
        AND conversion_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND (person_id IN %(person_keys)s OR conversion_id IN %(conversions)s)
    UNION ALL
    SELECT
        'conversions' AS table,
        count() AS number
    FROM conversions
    WHERE workspace = %(workspace)s
        AND conversion_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND (person_id IN %(person_keys)s OR conversion_id IN %(conversions)s)
    UNION ALL
    SELECT
        'deliveries' AS table,
        count() AS number
    FROM deliveries
    WHERE workspace = %(workspace)s
        AND (conversion_id IN %(conversions)s OR (conversion_id, revision) IN %(attempts)s)
    UNION ALL
    SELECT
        'order_changes' AS table,
        count() AS number
    FROM order_changes
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(orders_over)s
)
ORDER BY table
