-- Some revisions of some conversions, as they were published; of what an erasure severed there are none. The pairs are in
-- the order of the table, so only granules around them are read. FINAL: one that was written again replaces what it was.
SELECT
    conversion_id,
    revision,
    revised
FROM conversion_revisions FINAL
PREWHERE (conversion_id, revision) IN (%(numbered)s)
WHERE workspace = %(workspace)s
    AND revised != ''
SETTINGS do_not_merge_across_partitions_select_final = 1
