-- The conversions of a person until a moment, by any id the person had. FINAL: the newest revision says whose it is.
SELECT DISTINCT conversion_id
FROM conversions FINAL
WHERE workspace = %(workspace)s
    AND person_id IN %(person_keys)s
    AND conversion_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
