-- What a version of attribution settings stands for: every row of a version says the same.
SELECT content
FROM settings_versions
WHERE workspace = %(workspace)s
    AND settings_version = %(version)s
LIMIT 1
