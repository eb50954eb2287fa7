-- Copies all revisions of conversions to random ids, without what tells whose they are: value, date, and credit by channel
-- stay, and so every total. Times are cut to the minute, which no day or hour of any time zone cuts; a conversion that
-- others of its family are counted by keeps its place among them (`placed`). A copy that was made before replaces itself;
-- its feed fills `conversions`.
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
)
SETTINGS prefer_column_name_to_alias = 1
