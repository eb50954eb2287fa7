-- Models of a workspace, newest first, after a place: (time, conversion name, version), descending.
SELECT
    toUnixTimestamp64Micro(publish_time) AS time,
    conversion_name,
    version,
    model
FROM model_versions FINAL
WHERE workspace = %(workspace)s
    AND (empty(%(conversion_name)s) OR conversion_name = %(conversion_name)s)
    AND (time, conversion_name, version) < (%(time)s, %(name)s, %(last)s)
ORDER BY
    time DESC,
    conversion_name DESC,
    version DESC
LIMIT %(limit)s
