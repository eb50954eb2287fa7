-- One row per destination: the highest revision that was tried, of those in the month before the newest of all.
SELECT
    workspace,
    destination_id,
    max(revision) AS highest
FROM deliveries
WHERE attempt > 0
    AND revision > (SELECT max(revision) FROM deliveries) - 2678400000000
GROUP BY
    workspace,
    destination_id
