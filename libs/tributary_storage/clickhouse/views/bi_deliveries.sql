-- One row per workspace, destination and day (UTC, of the attempt): attempts and what came of them; tests aside.
-- `unsent_conversions`: conversions that could not leave when that was tried last that day; they are among no attempts.
CREATE OR REPLACE VIEW bi_deliveries /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    toDate(attempt_time, 'UTC') AS day,
    countIf(attempt > 0 AND NOT unsent) AS attempts,
    countIf(outcome = 'OK') AS successes,
    countIf((attempt > 0 OR unsent) AND state IN ('REJECTED', 'DEAD')) AS given_up,
    countIf(state = 'INELIGIBLE') AS ineligible,
    uniqExactIf(conversion_id, state = 'UNDELIVERABLE_CORRECTION' AND ifNull(residual_micros, 1) != 0) AS not_correctable,
    uniqExactIf(conversion_id, unsent) AS unsent_conversions
FROM deliveries FINAL
WHERE operation != 'TEST'
GROUP BY
    workspace,
    destination_id,
    day
