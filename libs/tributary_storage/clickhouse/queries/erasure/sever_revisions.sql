-- Copies all revisions of conversions that are theirs to random ids, without what tells whose they are: value, date, and
-- credit by channel stay, and so every total. Times are cut to the minute, which no day or hour of any time zone cuts; a
-- conversion that others of its family are counted by keeps its place among them (`placed`). A copy that was made before
-- replaces itself; its feed fills `conversions`.
-- Those that are `taken_back` get one revision more: it takes all of them back, for no cause but the erasure, on a posting
-- day that is open. Its number is later than the others', and the same in a second run.
INSERT INTO conversion_revisions
SELECT
    * REPLACE
    (
        concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), conversion_id))))
            AS conversion_id,
        if(
            conversion_id IN %(placed)s,
            fromUnixTimestamp64Micro(transform(conversion_id, %(placed)s, %(places)s, 0::Int64), 'UTC'),
            toDateTime64(toStartOfMinute(conversion_time), 6, 'UTC')
        ) AS conversion_time,
        if(
            conversion_id IN %(placed)s OR toStartOfMinute(replaced_conversion_time) = toStartOfMinute(conversion_time),
            NULL,
            toDateTime64(toStartOfMinute(replaced_conversion_time), 6, 'UTC')
        ) AS replaced_conversion_time,
        toDateTime64(toStartOfMinute(first_accept_time), 6, 'UTC') AS first_accept_time,
        '' AS order_id,
        '' AS cycle,
        '' AS person_id,
        [] AS observation_event_ids,
        '' AS subscription_id,
        '' AS lead_id,
        '' AS root_order_id,
        '' AS merged_into,
        [] AS coupon_codes,
        [] AS causing_event_ids,
        '' AS traceparent,
        '' AS revised,
        arrayMap(
            id -> if(
                id = '',
                '',
                concat('x1:', leftPad(lower(hex(sipHash64Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), id))), 16, '0'))
            ),
            touch_event_ids
        ) AS touch_event_ids,
        arrayMap(time -> toDateTime64(toStartOfMinute(time), 6, 'UTC'), touch_times) AS touch_times,
        arrayMap(
            details -> mapFilter((name, text) -> name IN ('spend_join_step', 'just_after_conversion'), details),
            touch_details
        ) AS touch_details
    )
FROM
(
    SELECT *
    FROM conversion_revisions FINAL
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND /*theirs*/
        AND /*not_late*/
    UNION ALL
    SELECT
        * REPLACE
        (
            greatest(revision + 1, toUInt64(%(until)s)) AS revision,
            revision AS previous_revision,
            NULL AS replaced_conversion_time,
            0::Int64 AS value_micros,
            0::Int64 AS reporting_value_micros,
            false AS counted,
            'ERASED' AS not_counted_reason,
            true AS retracted,
            false AS value_pending,
            ['erasure'] AS causes,
            fromUnixTimestamp64Micro(toInt64(greatest(revision + 1, toUInt64(%(until)s))), 'UTC') AS publish_time,
            toDate32(%(posting_day)s) AS posting_date,
            toDateTime64(0, 6, 'UTC') AS cause_accept_time,
            if(counted, -value_micros, 0) AS value_delta_micros,
            if(counted, -1, 0)::Int8 AS counted_delta,
            now64(6, 'UTC') AS record_time
        )
    FROM
    (
        SELECT *
        FROM conversion_revisions FINAL
        WHERE workspace = %(workspace)s
            AND conversion_id IN %(taken_back)s
            AND /*theirs*/
            AND /*not_late*/
        ORDER BY revision DESC
        LIMIT 1 BY conversion_id
    )
)
SETTINGS prefer_column_name_to_alias = 1
