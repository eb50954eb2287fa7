-- Writes rows of `conversions` again as `conversion_revisions` has them. Of one version the last that is written stands;
-- a replicated table would pass over what it has had. Nothing is written of somebody who is being erased.
INSERT INTO conversions (/*newest_columns*/)
SELECT /*newest_columns*/
FROM conversion_revisions FINAL
PREWHERE (conversion_id, revision) IN %(places)s
WHERE workspace = %(workspace)s
    AND person_id NOT IN
    (
        SELECT arrayJoin(person_keys)
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
            AND state != 'finished'
    )
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0
