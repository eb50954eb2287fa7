SELECT
    workspace,
    conversion_id,
    toInt64(revision) AS revision,
    toInt64(posted_revision) AS posted_revision,
    posting_date,
    share.1 AS model,
    toInt64(part.1) AS position,
    touch_event_ids[part.1] AS touch_id,
    if(part.1 > length(touch_event_ids), conversion_time, touch_times[part.1]) AS touch_time,
    touch_kinds[part.1] AS touch_kind,
    if(part.1 > length(touch_event_ids), 'unattributed', touch_channels[part.1]) AS channel,
    touch_sub_channels[part.1] AS sub_channel,
    touch_sources[part.1] AS source,
    touch_mediums[part.1] AS medium,
    touch_campaigns[part.1] AS campaign,
    touch_campaign_ids[part.1] AS campaign_id,
    touch_ad_destinations[part.1] AS ad_destination,
    touch_ad_account_ids[part.1] AS ad_account_id,
    touch_ad_campaign_ids[part.1] AS ad_campaign_id,
    toInt64(part.2) * sign AS credit_micros,
    currency,
    if(value_pending, 0, part.3) * sign AS value_micros,
    name,
    conversion_time,
    %(batch_id)s AS batch_id
FROM
(
    SELECT
        *,
        arrayJoin(
        [
            ('first_touch', first_touch_credit_micros, first_touch_value_micros, first_touch_unattributed_reason::String),
            ('last_touch', last_touch_credit_micros, last_touch_value_micros, last_touch_unattributed_reason::String),
            ('last_non_direct', last_non_direct_credit_micros, last_non_direct_value_micros, last_non_direct_unattributed_reason::String),
            ('linear', linear_credit_micros, linear_value_micros, linear_unattributed_reason::String),
            ('position_based', position_based_credit_micros, position_based_value_micros, position_based_unattributed_reason::String),
            ('time_decay', time_decay_credit_micros, time_decay_value_micros, time_decay_unattributed_reason::String),
            ('data_driven', if(counted AND empty(data_driven_credit_micros), arrayPushBack(arrayResize([]::Array(Int32), length(touch_event_ids)), 1000000), data_driven_credit_micros), if(counted AND empty(data_driven_credit_micros), arrayPushBack(arrayResize([]::Array(Int64), length(touch_event_ids)), value_micros), data_driven_value_micros), if(counted AND empty(data_driven_credit_micros), 'NO_MODEL', data_driven_unattributed_reason::String))
        ]) AS share,
        arrayJoin(arrayFilter(one -> one.2 != 0 OR one.3 != 0, arrayZip(arrayEnumerate(share.2), share.2, share.3))) AS part
    FROM
    (
        SELECT
            * EXCEPT (revision, posting_date),
            revision,
            posting_date,
            revision AS posted_revision,
            1 AS sign
        FROM conversion_revisions FINAL
        WHERE workspace = %(workspace)s
            AND (conversion_id, revision) GLOBAL IN
            (
                SELECT
                    key.1,
                    key.2
                FROM
                (
                    SELECT arrayJoin(arrayZip(conversion_ids, revisions)) AS key
                    FROM warehouse_batches FINAL
                    WHERE workspace = %(workspace)s
                        AND destination_id = %(destination_id)s
                        AND batch_id = %(batch_id)s
                )
            )
            AND (conversion_id, revision) GLOBAL NOT IN
            (
                SELECT
                    key.1,
                    key.2
                FROM
                (
                    SELECT arrayJoin(arrayZip(conversion_ids, revisions, replaced)) AS key
                    FROM warehouse_batches FINAL
                    WHERE workspace = %(workspace)s
                        AND destination_id = %(destination_id)s
                        AND batch_id = %(batch_id)s
                        AND notEmpty(replaced)
                )
                WHERE key.2 = key.3
            )
        UNION ALL
        SELECT
            replaced.* EXCEPT (revision, posting_date),
            successor.revision AS revision,
            successor.posting_date AS posting_date,
            replaced.revision AS posted_revision,
            -1 AS sign
        FROM conversion_revisions AS replaced FINAL
        GLOBAL INNER JOIN
        (
            SELECT
                own.conversion_id AS conversion_id,
                if(chain.is_told, chain.replaced, own.previous_revision) AS replaced_revision,
                own.revision AS revision,
                own.posting_date AS posting_date
            FROM
            (
                SELECT
                    conversion_id,
                    previous_revision,
                    revision,
                    posting_date
                FROM conversion_revisions FINAL
                WHERE workspace = %(workspace)s
                    AND (conversion_id, revision) GLOBAL IN
                    (
                        SELECT
                            key.1,
                            key.2
                        FROM
                        (
                            SELECT arrayJoin(arrayZip(conversion_ids, revisions)) AS key
                            FROM warehouse_batches FINAL
                            WHERE workspace = %(workspace)s
                                AND destination_id = %(destination_id)s
                                AND batch_id = %(batch_id)s
                        )
                    )
            ) AS own
            GLOBAL INNER JOIN
            (
                SELECT
                    key.1 AS conversion_id,
                    key.2 AS revision,
                    key.3 AS replaced,
                    is_told
                FROM
                (
                    SELECT
                        notEmpty(replaced) AS is_told,
                        arrayJoin(arrayZip(conversion_ids, revisions, if(is_told, replaced, revisions))) AS key
                    FROM warehouse_batches FINAL
                    WHERE workspace = %(workspace)s
                        AND destination_id = %(destination_id)s
                        AND batch_id = %(batch_id)s
                )
            ) AS chain ON chain.conversion_id = own.conversion_id AND chain.revision = own.revision
            WHERE replaced_revision < own.revision
        ) AS successor ON replaced.conversion_id = successor.conversion_id AND replaced.revision = successor.replaced_revision
        WHERE replaced.workspace = %(workspace)s
            AND replaced.conversion_id GLOBAL IN
            (
                SELECT arrayJoin(conversion_ids)
                FROM warehouse_batches FINAL
                WHERE workspace = %(workspace)s
                    AND destination_id = %(destination_id)s
                    AND batch_id = %(batch_id)s
            )
    )
    WHERE counted
)
ORDER BY
    workspace,
    conversion_id,
    revision,
    posted_revision,
    model,
    position
