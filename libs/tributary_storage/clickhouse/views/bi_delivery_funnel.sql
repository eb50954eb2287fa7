-- One row per workspace, destination and day (UTC, when the conversion's first revision was planned): what became of the
-- conversions of that day there. Each is in exactly one of `accepted`, `given_up`, `waiting` and `ineligible`, in this
-- order of preference, so that these add up to `captured`. `sent` are those that were attempted; `adjusted` and
-- `not_correctable` are among `accepted`. Each accepted one is in exactly one of `reported_taken`, `reported_rejected`,
-- `reported_unclear` (some of its request do not count, and nobody says which) and `unreported` (not yet, or the destination
-- never reports); why is in bi_delivery_reports.
CREATE OR REPLACE VIEW bi_delivery_funnel /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    day,
    count() AS captured,
    countIf(is_sent) AS sent,
    countIf(is_accepted) AS accepted,
    countIf(NOT is_accepted AND is_given_up) AS given_up,
    countIf(NOT is_accepted AND NOT is_given_up AND is_waiting) AS waiting,
    countIf(NOT is_accepted AND NOT is_given_up AND NOT is_waiting) AS ineligible,
    countIf(NOT is_accepted AND NOT is_given_up AND NOT is_waiting AND reason = 'NO_CONSENT') AS without_consent,
    countIf(is_adjusted) AS adjusted,
    countIf(is_accepted AND is_not_correctable) AS not_correctable,
    countIf(is_accepted AND last_report = 'TAKEN') AS reported_taken,
    countIf(is_accepted AND last_report = 'REJECTED') AS reported_rejected,
    countIf(is_accepted AND last_report = 'UNCLEAR') AS reported_unclear,
    countIf(is_accepted AND last_report = '') AS unreported
FROM
(
    SELECT
        workspace,
        destination_id,
        conversion_id,
        toDate(min(plan_time), 'UTC') AS day,
        max(attempt > 0) AS is_sent,
        max(state = 'ACCEPTED' OR report != '') AS is_accepted,
        argMaxIf(report, (attempt_time, attempt), state = 'ACCEPTED' OR report != '') AS last_report,
        argMax(state, (record_time, attempt)) IN ('DEAD', 'REJECTED') AS is_given_up,
        argMax(state, (record_time, attempt)) = 'PENDING' AS is_waiting,
        argMax(ineligible_reason, (record_time, attempt)) AS reason,
        max((state = 'ACCEPTED' OR report != '') AND operation IN ('RESTATE', 'RETRACT')) AS is_adjusted,
        argMaxIf(ifNull(residual_micros, 1), revision, state = 'UNDELIVERABLE_CORRECTION') != 0 AS is_not_correctable
    FROM deliveries FINAL
    GROUP BY
        workspace,
        destination_id,
        conversion_id
)
GROUP BY
    workspace,
    destination_id,
    day
