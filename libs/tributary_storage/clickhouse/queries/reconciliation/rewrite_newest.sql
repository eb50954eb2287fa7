-- Writes rows of `conversions` again as `conversion_revisions` has them. Of one version the last that is written stands;
-- a replicated table would pass over what it has had.
INSERT INTO conversions (/*newest_columns*/)
SELECT /*newest_columns*/
FROM conversion_revisions FINAL
PREWHERE (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
SETTINGS insert_deduplicate = 0
