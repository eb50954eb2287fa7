-- One row per workspace, day (UTC, of the conversion), conversion name, currency, model and where the touch came from:
-- credited conversions and value, exact under revisions. What nobody earned is the channel 'unattributed'. Filter by
-- workspace, day and model; never add rows of two currencies, or of two models. Conversions that have no value have no
-- currency either: their value is NULL, not 0.
CREATE OR REPLACE VIEW bi_channel_performance /*ON CLUSTER*/ AS
SELECT
    workspace,
    day,
    conversion_name,
    currency,
    model,
    channel,
    sub_channel,
    source,
    medium,
    campaign,
    toDecimal128(sum(toInt128(credit_micros)), 6) / 1000000 AS conversions,
    if(currency = '', NULL, toDecimal128(sum(toInt128(value_micros)), 6) / 1000000) AS value
FROM
(
    SELECT
        workspace,
        day,
        conversion_name,
        currency,
        model,
        channel,
        sub_channel,
        source,
        medium,
        campaign,
        credit_micros,
        if(value_pending, 0, value_micros) AS value_micros
    FROM
    (
        SELECT
            workspace,
            toDate(conversion_time, 'UTC') AS day,
            name AS conversion_name,
            currency,
            value_pending,
            touch_channels,
            touch_sub_channels,
            touch_sources,
            touch_mediums,
            touch_campaigns,
            model,
            model_credit_micros,
            model_value_micros
        FROM conversions FINAL
        ARRAY JOIN
            [
                'first_touch',
                'last_touch',
                'last_non_direct',
                'linear',
                'position_based',
                'time_decay',
                'data_driven'
            ] AS model,
            [
                first_touch_credit_micros,
                last_touch_credit_micros,
                last_non_direct_credit_micros,
                linear_credit_micros,
                position_based_credit_micros,
                time_decay_credit_micros,
                data_driven_credit_micros
            ] AS model_credit_micros,
            [
                first_touch_value_micros,
                last_touch_value_micros,
                last_non_direct_value_micros,
                linear_value_micros,
                position_based_value_micros,
                time_decay_value_micros,
                data_driven_value_micros
            ] AS model_value_micros
        WHERE counted AND notEmpty(model_credit_micros)
    )
    ARRAY JOIN
        touch_channels AS channel,
        touch_sub_channels AS sub_channel,
        touch_sources AS source,
        touch_mediums AS medium,
        touch_campaigns AS campaign,
        model_credit_micros AS credit_micros,
        model_value_micros AS value_micros
    WHERE credit_micros != 0 OR value_micros != 0
)
GROUP BY
    workspace,
    day,
    conversion_name,
    currency,
    model,
    channel,
    sub_channel,
    source,
    medium,
    campaign
