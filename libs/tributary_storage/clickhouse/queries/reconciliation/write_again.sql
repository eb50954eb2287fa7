-- Writes revisions again that have a row each, where that carries the very message that was read before: not where an
-- erasure has taken or changed it since. Nor what is of somebody who is being erased.
INSERT INTO conversion_revisions (/*revision_columns*/, record_time)
SELECT
    /*revision_columns*/,
    record_time
FROM written
WHERE (conversion_id, revision, read_print) IN
    (
        SELECT
            conversion_id,
            revision,
            xxHash64(revised)
        FROM conversion_revisions FINAL
        PREWHERE revision IN %(revisions)s
            AND (conversion_id, revision) IN %(places)s
        WHERE workspace = %(workspace)s
    )
    AND person_id NOT IN
    (
        SELECT arrayJoin(person_keys)
        FROM erasures FINAL
        WHERE workspace = %(workspace)s
            AND state != 'finished'
    )
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0
