-- One row per workspace, destination and currency: by how much what the destination has is more than what is true, as was
-- said last of each conversion: of a change that it has no way to take, that it must not be told, or that was given up.
-- What it took after that is right again. `residual_micros` and `residual_conversions` are signed, and never of two
-- currencies; `conversions` are those that it has wrong, one in each currency of two. Currency '': no value is known; `unknown` of these nobody knows
-- what it has. Conversions that it was told a value of 0 of, for it takes none back, are in `residual_conversions`.
CREATE OR REPLACE VIEW bi_delivery_residuals /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    part.2 AS currency,
    count() AS conversions,
    countIf(isNull(part.1)) AS unknown,
    sum(toInt128(ifNull(part.1, 0))) AS residual_micros,
    sum(left_conversions) AS residual_conversions
FROM
(
    SELECT
        workspace,
        destination_id,
        conversion_id,
        argMax(
            (
                if(state = 'ACCEPTED', 0, residual_micros),
                multiIf(
                    state = 'ACCEPTED' OR isNull(residual_micros), '',
                    residual_currency = '', toString(currency),
                    toString(residual_currency)
                ),
                residual_conversions,
                if(operation = 'RETRACT', 0, value_micros),
                toString(currency)
            ),
            bitShiftLeft(toUInt128(revision), 64) + toUnixTimestamp64Micro(record_time)
        ) AS said,
        said.1 AS left_micros,
        said.2 AS left_in,
        said.3 AS left_conversions,
        -- Of what it has in another currency than is true it lacks the value itself.
        arrayJoin(
            if(
                left_micros > 0 AND left_in != '' AND said.5 != '' AND left_in != said.5,
                [(left_micros, left_in), (-said.4, said.5)],
                [(left_micros, left_in)]
            )
        ) AS part
    FROM deliveries FINAL
    WHERE state IN ('ACCEPTED', 'UNDELIVERABLE_CORRECTION')
        OR (state = 'DEAD' AND operation IN ('RESTATE', 'RETRACT'))
    GROUP BY
        workspace,
        destination_id,
        conversion_id
)
WHERE ifNull(left_micros, 1) != 0 OR left_conversions != 0
GROUP BY
    workspace,
    destination_id,
    currency
