-- Conversions of a part of the days of a run, by what `conversions` or `conversion_revisions` says of their time, and where it
-- compares what changed those that were published in these days. An id may come more than once. What an erasure severed is among
-- them: nobody computes it anew, and its row is a copy of the ledger all the same.
SELECT conversion_id
FROM conversions
WHERE workspace = %(workspace)s
    AND /*in_days*/
    AND cityHash64(conversion_id) %% %(slices)s = %(part)s
UNION ALL
SELECT conversion_id
FROM conversion_revisions
WHERE workspace = %(workspace)s
    AND /*in_days*/
    AND cityHash64(conversion_id) %% %(slices)s = %(part)s
