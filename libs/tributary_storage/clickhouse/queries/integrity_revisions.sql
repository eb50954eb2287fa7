-- The revisions of a workspace: how many there are, how many follow a revision that is there or are the first of their
-- conversion, how many conversions there are and how many first revisions. FINAL: a row written again is one revision.
-- Removed conversions of which closed books keep the postings are none: nothing else is left of them.
SELECT
    count(),
    countIf(previous_revision = 0 OR has_previous),
    uniqExact(conversion_id) - countIf(not_counted_reason = 'ERASED'),
    countIf(previous_revision = 0) - countIf(not_counted_reason = 'ERASED')
FROM
(
    SELECT
        conversion_id,
        revision,
        previous_revision,
        not_counted_reason,
        lagInFrame(revision) OVER
        (
            PARTITION BY conversion_id
            ORDER BY revision
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) = previous_revision AS has_previous
    FROM conversion_revisions FINAL
    WHERE workspace = %(workspace)s
)
