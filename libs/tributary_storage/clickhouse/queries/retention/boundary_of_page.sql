-- The number by which the identifier is recognised that a page ends with (`ended_paths_last_page`).
SELECT xxHash64(%(after)s)
