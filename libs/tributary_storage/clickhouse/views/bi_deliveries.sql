-- One row per workspace, destination and day (UTC, of the attempt): attempts and what came of them; tests aside.
CREATE OR REPLACE VIEW bi_deliveries /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    toDate(attempt_time, 'UTC') AS day,
    countIf(attempt > 0) AS attempts,
    countIf(outcome = 'OK') AS successes,
    countIf(attempt > 0 AND state IN ('REJECTED', 'DEAD')) AS given_up,
    countIf(state = 'INELIGIBLE') AS ineligible,
    uniqExactIf(conversion_id, state = 'UNDELIVERABLE_CORRECTION' AND ifNull(residual_micros, 1) != 0) AS not_correctable
FROM deliveries FINAL
WHERE operation != 'TEST'
GROUP BY
    workspace,
    destination_id,
    day
