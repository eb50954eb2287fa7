-- Of which moment the people are whose pages of a month are kept; 1970: none are.
SELECT toUnixTimestamp64Micro(max(seen_time))
FROM ended_paths_pages
WHERE workspace = %(workspace)s
    AND month = %(month)s
    AND accepted_until = fromUnixTimestamp64Micro(%(accepted_until)s, 'UTC')
