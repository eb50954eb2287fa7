-- Per conversion name of a workspace the versions of the first model that was published and of the newest.
SELECT
    conversion_name,
    argMin(version, publish_time) AS first_version,
    argMax(version, publish_time) AS newest_version
FROM model_versions
WHERE workspace = %(workspace)s
    AND status = 'PUBLISHED'
GROUP BY conversion_name
