-- The revisions of a workspace: how many there are, how many follow a revision that is there or are the first of their
-- conversion, how many conversions there are and how many first revisions. FINAL: a row written again is one revision.
SELECT
    count(),
    countIf(previous_revision = 0 OR has_previous),
    uniqExact(conversion_id),
    countIf(previous_revision = 0)
FROM
(
    SELECT
        conversion_id,
        revision,
        previous_revision,
        lagInFrame(revision) OVER
        (
            PARTITION BY conversion_id
            ORDER BY revision
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) = previous_revision AS has_previous
    FROM conversion_revisions FINAL
    WHERE workspace = %(workspace)s
)
