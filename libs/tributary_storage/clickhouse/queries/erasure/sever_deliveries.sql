-- Copies what was sent of conversions, as far as it is theirs, also of those that somebody told again, to their random ids,
-- without by what anybody could be recognised.
INSERT INTO deliveries
SELECT
    * REPLACE
    (
        concat('s1:', lower(hex(sipHash128Keyed((toUInt64(%(first)s), toUInt64(%(second)s)), conversion_id))))
            AS conversion_id,
        '' AS message,
        '' AS visible_id,
        '' AS destination_request_id,
        '' AS click_id_family,
        '' AS click_id,
        map() AS identifier_digests,
        NULL AS sent_conversion_time
    )
FROM
(
    SELECT *
    FROM deliveries FINAL
    WHERE workspace = %(workspace)s
        AND (
            (conversion_id IN %(conversions)s AND /*theirs*/ AND /*not_late*/)
            OR (conversion_id, revision) IN %(attempts)s
        )
)
SETTINGS prefer_column_name_to_alias = 1
