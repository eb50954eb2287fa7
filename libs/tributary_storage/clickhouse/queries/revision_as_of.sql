-- The revision of one conversion that was the newest at a moment, as it was published: a revision's number is when. FINAL:
-- one that was written again replaces what it was.
SELECT revised
FROM conversion_revisions FINAL
PREWHERE conversion_id = %(conversion_id)s
    AND revision <= %(moment)s
WHERE workspace = %(workspace)s
    AND revised != ''
ORDER BY revision DESC
LIMIT 1
SETTINGS do_not_merge_across_partitions_select_final = 1
