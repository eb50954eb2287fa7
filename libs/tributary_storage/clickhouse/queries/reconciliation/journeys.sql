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
    arraySort(groupArrayIf(
        CAST(
            (bitAnd(flags, 16) != 0, time, hash, source),
            'Tuple(is_internal UInt8, time Int64, hash UInt64, conversion UInt64)'
        ),
        kind = 7 AND bitAnd(flags, 34) = 0 AND name IN %(path_reset_names)s
    )) AS resets,
    max(accept_time) AS newest_accept_time
FROM reconciliation_entries FINAL
WHERE reconciliation_id = %(run)s
    AND slice = %(slice)s
GROUP BY person
