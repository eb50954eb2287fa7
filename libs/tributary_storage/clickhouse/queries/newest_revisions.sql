-- The newest revision of each of several conversions, as it was published. Conversions that there are none of are left
-- out, and copies under random ids, which are no message. The ids are in the order of the table, so only granules around
-- them are read. FINAL: one that was written again replaces what it was.
SELECT
    conversion_id,
    revised
FROM conversion_revisions FINAL
PREWHERE conversion_id IN (%(conversion_ids)s)
WHERE workspace = %(workspace)s
    AND revised != ''
ORDER BY
    conversion_id,
    revision DESC
LIMIT 1 BY conversion_id
SETTINGS do_not_merge_across_partitions_select_final = 1
