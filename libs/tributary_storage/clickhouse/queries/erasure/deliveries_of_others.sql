-- How many attempts to send others' conversions name what an erased person is recognised by: a click id that such a
-- conversion does not have any more, or hashes of match keys of a revision that had the person's.
SELECT count()
FROM deliveries
WHERE workspace = %(workspace)s
    AND conversion_id IN %(told)s
    AND (
        (click_id != '' AND (conversion_id, click_id_family, click_id) NOT IN %(clicks)s)
        OR (
            (conversion_id, revision) IN %(revisions)s
            AND arrayExists(digest -> digest != '', mapValues(identifier_digests))
        )
    )
