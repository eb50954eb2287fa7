SELECT
    person,
    arraySort(groupArray(CAST(
        (
            time,
            hash,
            kind,
            if(kind != 7 AND bitAnd(flags, 1) = 0 AND name IN %(direct_channels)s, bitOr(flags, 128), flags),
            source,
            shown,
            click,
            interaction,
            session,
            click_time
        ),
        /*entry*/
    ))) AS entries,
    groupArrayIf((time, hash), kind = 7 AND bitAnd(flags, 18) = 0 AND name IN %(path_reset_names)s) AS resets,
    groupArrayIf((time, hash), kind = 7 AND bitAnd(flags, 18) = 16 AND name IN %(path_reset_names)s) AS internal_resets,
    max(accept_time) AS newest_accept_time
FROM reconciliation_entries FINAL
WHERE reconciliation_id = %(run)s
    AND slice = %(slice)s
GROUP BY person
