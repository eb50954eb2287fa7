-- One row per workspace, destination and day (UTC, when the conversion was first accepted): what became of the conversions
-- of that day there, at this moment. Of the last 390 days: the ledger is kept little longer. These add up exactly:
--
--   captured   = waiting + without_consent + consented     published while the destination was declared, or dealt with there
--   consented  = ineligible + eligible                     ineligible: for another reason than consent, see ineligible_reasons
--   eligible   = unsent + sent                             whether it may go is asked when it goes
--   sent       = accepted + rejected + retrying + withdrawn
--   accepted   = reported_taken + reported_rejected + reported_unclear + unreported
--
-- `unsent`: it may go and never could leave: no connection is made, or there is no access token; see unsent_reasons
-- (whether it is tried again, and the class of the outcome). `sent`: it left at least once, or may have.
-- `waiting`: nobody has looked at it yet, as it is now: for its hold time, for its turn, for the quota, or because the
-- destination is paused or delivery does not run. `rejected`: given up, see rejected_reasons (the class of the outcome, and
-- what HTTP said; UNKNOWN: nobody knows whether it was taken). `retrying`: attempted, and to be attempted again.
-- `withdrawn`: attempted, never known to be taken, and then not to be sent any more: consent or conversion were taken back.
-- A test that was sent by the destination's test mode is `ineligible` (TRAFFIC), as one that was not: it counts nowhere.
-- An order that was told with and without the cycle of a subscription is one here, that which counts: what was sent of the
-- other is that one's. It is accepted where either was taken, and wrong where of either something is.
-- `adjusted` (a correction was taken) and `not_correctable` (the destination has a value that is wrong and cannot be told)
-- are among `accepted`. `unreported`: not yet, or the destination never reports. What was dealt with stays where it was when
-- its person is erased; what waited is nobody's then, and is not captured. Nor is what delivery read only when a destination
-- was declared no more, whenever it was published: it is never told there.
--
-- A destination that reports says of how many of a request why they do not count, seldom of which. Where a day has a request
-- as a whole, that many are `reported_rejected`, and the others `reported_taken`. Where it has a part of one (the request
-- went over midnight, or some of it was corrected since and is reported on with a later one), as many are `reported_unclear`
-- as can be refused, and the others, whichever they are, `reported_taken`. A request whose reasons name all that it held, and
-- of which the destination says that some count, is `reported_unclear`: it counts some under several reasons. So is one of
-- which it says only that some count. Of both the reasons add up: in the destination's words, "A or B" where some of those refused for one of them are elsewhere. By
-- request: bi_delivery_reports.
CREATE OR REPLACE VIEW bi_delivery_funnel /*ON CLUSTER*/ AS
WITH
    arraySum(mapValues(named)) AS refused_of_request,
    cell = ifNull(held, 0) AND cell > refused_of_request AS says_how_many,
    cell_report = 'REJECTED' OR (cell_report = 'UNCLEAR' AND says_how_many) AS is_refused,
    multiIf(
        cell_report = 'REJECTED', cell,
        cell_report != 'UNCLEAR', toUInt64(0),
        empty(named), cell,
        least(cell, refused_of_request)
    ) AS doubted,
    multiIf(
        doubted = refused_of_request, named,
        map(if(empty(named), 'NO_REASON_GIVEN', arrayStringConcat(arraySort(mapKeys(named)), ' or ')), doubted)
    ) AS reasons
SELECT
    workspace,
    destination_id,
    day,
    sum(cell) AS captured,
    sumIf(cell, place = 'waiting') AS waiting,
    sumIf(cell, place = 'without_consent') AS without_consent,
    captured - waiting - without_consent AS consented,
    sumIf(cell, place = 'ineligible') AS ineligible,
    sumMapIf(map(reason, cell), place = 'ineligible') AS ineligible_reasons,
    consented - ineligible AS eligible,
    sumIf(cell, place = 'unsent') AS unsent,
    sumMapIf(map(reason, cell), place = 'unsent') AS unsent_reasons,
    sumIf(cell, is_sent) AS sent,
    sumIf(cell, place = 'accepted') AS accepted,
    sumIf(cell, place = 'rejected') AS rejected,
    sumMapIf(map(reason, cell), place = 'rejected') AS rejected_reasons,
    sumIf(cell, place = 'retrying') AS retrying,
    sumIf(cell, place = 'withdrawn') AS withdrawn,
    sumMapIf(map(reason, cell), place = 'withdrawn') AS withdrawn_reasons,
    sumIf(cell_adjusted, place = 'accepted') AS adjusted,
    sumIf(cell_not_correctable, place = 'accepted') AS not_correctable,
    sumIf(cell - doubted, cell_report IN ('TAKEN', 'REJECTED', 'UNCLEAR')) AS reported_taken,
    sumIf(doubted, is_refused) AS reported_rejected,
    sumMapIf(reasons, is_refused) AS reported_rejected_reasons,
    sumIf(doubted, NOT is_refused) AS reported_unclear,
    sumMapIf(reasons, NOT is_refused AND doubted > 0) AS reported_unclear_reasons,
    sumIf(cell, place = 'accepted' AND cell_report NOT IN ('TAKEN', 'REJECTED', 'UNCLEAR')) AS unreported
FROM
(
    SELECT
        workspace,
        destination_id,
        day,
        place,
        reason,
        attempts > 0 AS is_sent,
        if(place = 'accepted', reported.1, '') AS cell_report,
        if(place = 'accepted', reported.2, '') AS request_id,
        count() AS cell,
        countIf(is_adjusted) AS cell_adjusted,
        countIf(is_not_correctable) AS cell_not_correctable
    FROM
    (
        SELECT
            workspace,
            destination_id,
            counted_id,
            max(accept_day) AS accepted_on,
            if(toUInt16(accepted_on) > 0, accepted_on, max(plan_day)) AS day,
            max(line_attempts) AS attempts,
            max(line_is_adjusted) AS is_adjusted,
            max(line_is_not_correctable) AS is_not_correctable,
            argMax(line_reported, line_report_time) AS reported,
            -- Where both were told: of what was taken, else of what left, else of what counts.
            argMax(
                (line_place, line_reason),
                (line_place = 'accepted') * 8 + (line_attempts > 0) * 4 + (line_place != '') * 2 + is_own
            ) AS said,
            if(attempts = 0 AND max(published_here) > max(line_revision), 'waiting', said.1) AS place,
            said.2 AS reason
        FROM
        (
            SELECT
                workspace,
                destination_id,
                ifNull(merged_into, '') = '' AS is_own, -- NULL: by a reader's join_use_nulls
                if(is_own, conversion_id, assumeNotNull(merged_into)) AS counted_id,
                toDate('1970-01-01') AS accept_day,
                toUInt64(0) AS published_here,
                plan_day,
                if(is_own, last_revision, 0) AS line_revision,
                line_attempts,
                line_is_adjusted,
                line_is_not_correctable,
                line_reported,
                line_report_time,
                multiIf(
                    is_accepted, 'accepted',
                    line_attempts > 0 AND last_state IN ('DEAD', 'REJECTED'), 'rejected',
                    line_attempts > 0 AND last_state IN ('PENDING', 'SUPERSEDED'), 'retrying',
                    line_attempts > 0, 'withdrawn',
                    last_reason = 'NO_CONSENT', 'without_consent',
                    last_state IN ('DEAD', 'PENDING', 'SUPERSEDED'), 'unsent',
                    'ineligible'
                ) AS line_place,
                multiIf(
                    line_place IN ('accepted', 'retrying'), '',
                    line_place = 'unsent', concat(last_state, ' ', last_outcome),
                    line_place != 'rejected', if(last_reason = '', last_state, last_reason),
                    last_status_code = 0, last_outcome,
                    concat(last_outcome, ' ', toString(last_status_code))
                ) AS line_reason
            FROM
            (
                SELECT
                    workspace,
                    destination_id,
                    conversion_id,
                    toDate(min(plan_time), 'UTC') AS plan_day,
                    max(revision) AS last_revision,
                    maxIf(attempt, operation != 'TEST') AS line_attempts,
                    max(((state = 'ACCEPTED' OR report != '') AND operation != 'TEST') AS is_taken) AS is_accepted,
                    max(is_taken AND operation IN ('RESTATE', 'RETRACT')) AS line_is_adjusted,
                    -- What was said of it last: as in bi_delivery_residuals.
                    argMaxIf(
                        state != 'ACCEPTED' AND (ifNull(residual_micros, 1) != 0 OR residual_conversions != 0),
                        bitShiftLeft(toUInt128(revision), 64) + toUnixTimestamp64Micro(record_time),
                        state IN ('ACCEPTED', 'UNDELIVERABLE_CORRECTION')
                            OR (state = 'DEAD' AND operation IN ('RESTATE', 'RETRACT'))
                    ) AS line_is_not_correctable,
                    argMaxIf(
                        (toString(report), if(report IN ('REJECTED', 'UNCLEAR'), destination_request_id, '')),
                        attempt_time,
                        is_taken
                    ) AS line_reported,
                    maxIf(attempt_time, is_taken) AS line_report_time,
                    -- By when a row was written, then its revision and attempt, as one number: such are compared fast.
                    argMax(
                        toString(state),
                        (
                            bitShiftLeft(toUInt128(toUnixTimestamp64Micro(record_time)), 64)
                            + revision * 4096
                            + least(attempt * 2 + unsent, 4095)
                        ) AS written
                    ) AS last_state,
                    argMax(toString(outcome), written) AS last_outcome,
                    argMax(status_code, written) AS last_status_code,
                    argMax(if(operation = 'TEST' AND attempt > 0, 'TRAFFIC', toString(ineligible_reason)), written) AS last_reason
                FROM deliveries FINAL
                GROUP BY
                    workspace,
                    destination_id,
                    conversion_id
            ) AS lines
            LEFT JOIN
            (
                SELECT
                    workspace,
                    conversion_id,
                    merged_into
                FROM conversions FINAL
                WHERE merged_into != ''
                    AND NOT startsWith(merged_into, 's1:') -- who told that was erased: nobody knows what it was sent as
            ) AS merged USING (workspace, conversion_id)
            UNION ALL
            SELECT
                workspace,
                destination_id,
                merged_into = '' OR startsWith(merged_into, 's1:') AS is_own,
                if(is_own, conversion_id, merged_into) AS counted_id,
                if(is_own, toDate(first_accept_time, 'UTC'), toDate('1970-01-01')) AS accept_day,
                if(
                    is_own
                        AND NOT startsWith(conversion_id, 's1:')
                        AND arrayExists(span -> revision >= span.1 AND revision < span.2, spans),
                    revision,
                    0
                ) AS published_here,
                toDate('1970-01-01') AS plan_day,
                toUInt64(0) AS line_revision,
                toUInt32(0) AS line_attempts,
                0 AS line_is_adjusted,
                0 AS line_is_not_correctable,
                ('', '') AS line_reported,
                toDateTime64(0, 6, 'UTC') AS line_report_time,
                '' AS line_place,
                '' AS line_reason
            FROM
            (
                SELECT
                    workspace,
                    conversion_id,
                    revision,
                    first_accept_time,
                    merged_into
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
            counted_id
        HAVING place != '' AND day >= today() - 390
    )
    GROUP BY
        workspace,
        destination_id,
        day,
        place,
        reason,
        is_sent,
        cell_report,
        request_id
) AS cells
LEFT JOIN
(
    SELECT
        workspace,
        destination_id,
        request_id,
        argMax(conversions, report_time) AS held,
        argMax(mapFromArrays(mapKeys(causes)::Array(String), mapValues(causes)::Array(UInt64)), report_time) AS named
    FROM destination_reports
    GROUP BY
        workspace,
        destination_id,
        request_id
) AS reports USING (workspace, destination_id, request_id)
GROUP BY
    workspace,
    destination_id,
    day
