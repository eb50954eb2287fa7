-- The deliveries of a workspace by (destination, conversion): how many there are, how many were taken as new more than
-- once, and how many were shown under more than one visible id. The same id taken by two attempts is once in effect: the
-- first one's outcome was written, and its process died before it could settle the job.
SELECT
    count(),
    countIf(taken > 1),
    countIf(visible_ids > 1)
FROM
(
    SELECT
        uniqExactIf(visible_id, operation = 'CREATE' AND outcome = 'OK') AS taken,
        uniqExactIf(visible_id, visible_id != '' AND operation != 'TEST' AND NOT unsent) AS visible_ids
    FROM deliveries FINAL
    WHERE workspace = %(workspace)s
    GROUP BY
        destination_id,
        conversion_id
)
