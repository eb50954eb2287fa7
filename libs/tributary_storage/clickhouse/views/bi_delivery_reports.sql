-- One row per workspace, destination, day (UTC, when the destination queued them) and cause: of how many conversions it
-- reported that it did not take them, by why in its words; cause '' is those that it took. They add up to what was queued
-- and is reported on: where it names more of a request than this held, each cause has its share of what it held. Cause
-- NO_REASON_GIVEN: it says that the request failed, and not why; or that a part of it did, and not how many: these may or
-- may not count.
CREATE OR REPLACE VIEW bi_delivery_reports /*ON CLUSTER*/ AS
SELECT
    workspace,
    destination_id,
    toDate(accept_time, 'UTC') AS day,
    part.1 AS cause,
    sum(part.2) AS conversions
FROM
(
    SELECT
        workspace,
        destination_id,
        accept_time,
        arrayJoin(arrayConcat(
            [('', taken)],
            arrayZip(mapKeys(causes)::Array(String), mapValues(causes))
        )) AS part
    FROM destination_reports FINAL
)
GROUP BY
    workspace,
    destination_id,
    day,
    cause
