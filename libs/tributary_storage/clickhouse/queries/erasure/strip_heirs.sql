-- Takes out of revisions what names touches of somebody who was erased, as `sever_revisions` does of his own, and that they
-- were his once, and what caused those of which the bytes say that no more; and calls his conversions that count in place of
-- them as they are called now. Whose they are now stays, and so do value, credit, and what was posted.
ALTER TABLE conversion_revisions
    UPDATE
        person_id = if(person_id IN %(person_keys)s, '', person_id),
        merged_into = transform(merged_into, %(conversions)s, %(random_ids)s, merged_into),
        touch_event_ids = arrayMap(
            id -> if(
                id NOT IN %(touches)s,
                id,
                concat('x1:', leftPad(lower(hex(sipHash64Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), id))), 16, '0'))
            ),
            touch_event_ids
        ),
        touch_times = arrayMap(
            (id, time) -> if(id IN %(touches)s, toDateTime64(toStartOfMinute(time), 6, 'UTC'), time),
            touch_event_ids,
            touch_times
        ),
        touch_details = arrayMap(
            (id, details) -> if(
                id IN %(touches)s,
                mapFilter((name, text) -> name IN ('spend_join_step', 'just_after_conversion'), details),
                details
            ),
            touch_event_ids,
            touch_details
        ),
        causing_event_ids = if(concat(conversion_id, ' ', toString(revision)) IN %(uncaused)s, [], causing_event_ids),
        traceparent = if(concat(conversion_id, ' ', toString(revision)) IN %(uncaused)s, '', traceparent),
        cause_accept_time = if(
            concat(conversion_id, ' ', toString(revision)) IN %(uncaused)s,
            toDateTime64(0, 6, 'UTC'),
            cause_accept_time
        ),
        revised = unhex(transform(concat(conversion_id, ' ', toString(revision)), %(places)s, %(revised)s, ''))
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversion_ids)s
        AND concat(conversion_id, ' ', toString(revision)) IN %(places)s
SETTINGS mutations_sync = 2
