-- Takes out of attempts to send others' conversions what an erased person is recognised by, as `deliveries_of_others` finds
-- it. That there was a click id, and hashes, and which, stays: a correction that would have to name them again is not one
-- of a conversion that was sent without.
ALTER TABLE deliveries
    UPDATE
        click_id = if((conversion_id, click_id_family, click_id) IN %(clicks)s, click_id, ''),
        identifier_digests = if(
            (conversion_id, revision) IN %(revisions)s,
            mapApply((name, digest) -> (name, ''), identifier_digests),
            identifier_digests
        )
    WHERE workspace = %(workspace)s
        AND conversion_id IN %(told)s
        AND (
            (click_id != '' AND (conversion_id, click_id_family, click_id) NOT IN %(clicks)s)
            OR (
                (conversion_id, revision) IN %(revisions)s
                AND arrayExists(digest -> digest != '', mapValues(identifier_digests))
            )
        )
SETTINGS mutations_sync = 2
