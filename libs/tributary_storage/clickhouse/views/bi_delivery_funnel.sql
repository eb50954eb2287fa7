-- One row per workspace, destination and day (UTC, when the conversion was first accepted): what became of the conversions
-- of that day there, at this moment. Of the last 390 days: the ledger is kept little longer. These add up exactly:
--
--   captured   = waiting + without_consent + consented     published while the destination was declared, or dealt with there
--   consented  = ineligible + eligible                     ineligible: for another reason than consent, see ineligible_reasons
--   eligible   = sent                                      whether it may go is asked when it goes
--   sent       = accepted + rejected + retrying + withdrawn
--   accepted   = reported_taken + reported_rejected + reported_unclear + unreported
--
-- `waiting`: nobody has looked at it yet, as it is now: for its hold time, for its turn, for the quota, or because the
-- destination is paused or delivery does not run. `rejected`: given up, see rejected_reasons (the class of the outcome, and
-- what HTTP said; UNKNOWN: nobody knows whether it was taken). `retrying`: attempted, and to be attempted again.
-- `withdrawn`: attempted, never known to be taken, and then not to be sent any more: consent or conversion were taken back.
-- `adjusted` (a correction was taken) and `not_correctable` (the destination has a value that is wrong and cannot be told)
-- are among `accepted`. `reported_unclear`: some of its request do not count, and nobody says which; `unreported`: not yet,
-- or the destination never reports; why is in bi_delivery_reports. A conversion whose person was erased stays where it was.
CREATE OR REPLACE VIEW bi_delivery_funnel /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    day,
    count() AS captured,
    countIf(place = 'waiting') AS waiting,
    countIf(place = 'without_consent') AS without_consent,
    captured - waiting - without_consent AS consented,
    countIf(place = 'ineligible') AS ineligible,
    sumMapIf(map(reason, toUInt64(1)), place = 'ineligible') AS ineligible_reasons,
    consented - ineligible AS eligible,
    countIf(attempts > 0) AS sent,
    countIf(place = 'accepted') AS accepted,
    countIf(place = 'rejected') AS rejected,
    sumMapIf(map(reason, toUInt64(1)), place = 'rejected') AS rejected_reasons,
    countIf(place = 'retrying') AS retrying,
    countIf(place = 'withdrawn') AS withdrawn,
    sumMapIf(map(reason, toUInt64(1)), place = 'withdrawn') AS withdrawn_reasons,
    countIf(place = 'accepted' AND is_adjusted) AS adjusted,
    countIf(place = 'accepted' AND is_not_correctable) AS not_correctable,
    countIf(place = 'accepted' AND last_report = 'TAKEN') AS reported_taken,
    countIf(place = 'accepted' AND last_report = 'REJECTED') AS reported_rejected,
    countIf(place = 'accepted' AND last_report = 'UNCLEAR') AS reported_unclear,
    countIf(place = 'accepted' AND last_report NOT IN ('TAKEN', 'REJECTED', 'UNCLEAR')) AS unreported
FROM
(
    SELECT
        workspace,
        destination_id,
        day,
        attempts,
        is_adjusted,
        is_not_correctable,
        last_report,
        multiIf(
            is_accepted, 'accepted',
            attempts > 0 AND state IN ('DEAD', 'REJECTED'), 'rejected',
            attempts > 0 AND state IN ('PENDING', 'SUPERSEDED'), 'retrying',
            attempts > 0, 'withdrawn',
            NOT is_known OR published > dealt_with, 'waiting',
            ineligible_reason = 'NO_CONSENT', 'without_consent',
            'ineligible'
        ) AS place,
        multiIf(
            place != 'rejected', if(ineligible_reason = '', state, ineligible_reason),
            status_code = 0, outcome,
            concat(outcome, ' ', toString(status_code))
        ) AS reason
    FROM
    (
        SELECT
            workspace,
            destination_id,
            conversion_id,
            max(accept_day) AS accepted_on,
            if(toUInt16(accepted_on) > 0, accepted_on, max(plan_day)) AS day,
            max(published_here) AS published,
            max(has_line) AS is_known,
            max(last_revision) AS dealt_with,
            max(last_attempt) AS attempts,
            max(has_accepted) AS is_accepted,
            max(has_adjusted) AS is_adjusted,
            max(has_residual) AS is_not_correctable,
            max(newest_report) AS last_report,
            max(newest_state) AS state,
            max(newest_outcome) AS outcome,
            max(newest_status_code) AS status_code,
            max(newest_ineligible_reason) AS ineligible_reason
        FROM
        (
            SELECT
                workspace,
                destination_id,
                conversion_id,
                toDate('1970-01-01') AS accept_day,
                toUInt64(0) AS published_here,
                toDate(min(plan_time), 'UTC') AS plan_day,
                1 AS has_line,
                max(revision) AS last_revision,
                max(attempt) AS last_attempt,
                max(state = 'ACCEPTED' OR report != '') AS has_accepted,
                max((state = 'ACCEPTED' OR report != '') AND operation IN ('RESTATE', 'RETRACT')) AS has_adjusted,
                argMaxIf(ifNull(residual_micros, 1), revision, state = 'UNDELIVERABLE_CORRECTION') != 0 AS has_residual,
                argMaxIf(
                    toString(report),
                    (attempt_time, revision, attempt),
                    state = 'ACCEPTED' OR report != ''
                ) AS newest_report,
                argMax(toString(state), (record_time, revision, attempt)) AS newest_state,
                argMax(toString(outcome), (record_time, revision, attempt)) AS newest_outcome,
                argMax(status_code, (record_time, revision, attempt)) AS newest_status_code,
                argMax(toString(ineligible_reason), (record_time, revision, attempt)) AS newest_ineligible_reason
            FROM deliveries FINAL
            GROUP BY
                workspace,
                destination_id,
                conversion_id
            UNION ALL
            SELECT
                workspace,
                destination_id,
                conversion_id,
                toDate(first_accept_time, 'UTC') AS accept_day,
                if(
                    NOT startsWith(conversion_id, 's1:')
                        AND arrayExists(span -> revision >= span.1 AND revision < span.2, spans),
                    revision,
                    0
                ) AS published_here,
                toDate('1970-01-01') AS plan_day,
                0 AS has_line,
                toUInt64(0) AS last_revision,
                toUInt32(0) AS last_attempt,
                0 AS has_accepted,
                0 AS has_adjusted,
                0 AS has_residual,
                '' AS newest_report,
                '' AS newest_state,
                '' AS newest_outcome,
                toInt32(0) AS newest_status_code,
                '' AS newest_ineligible_reason
            FROM
            (
                SELECT
                    workspace,
                    conversion_id,
                    revision,
                    first_accept_time
                FROM conversions FINAL
                WHERE first_accept_time >= now() - INTERVAL 391 DAY
            ) AS published
            INNER JOIN
            (
                SELECT
                    workspace,
                    destination_id,
                    groupArray(
                        (
                            toUInt64(toUnixTimestamp64Micro(start_time)),
                            if(isNull(end_time), toUInt64(-1), toUInt64(toUnixTimestamp64Micro(assumeNotNull(end_time))))
                        )
                    ) AS spans
                FROM destination_spans FINAL
                GROUP BY
                    workspace,
                    destination_id
            ) AS declared USING (workspace)
        )
        GROUP BY
            workspace,
            destination_id,
            conversion_id
        HAVING is_known OR published > 0
    )
    WHERE day >= today() - 390
)
GROUP BY
    workspace,
    destination_id,
    day
