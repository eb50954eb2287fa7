-- A model by its version: what a credit pins.
SELECT model
FROM model_versions FINAL
WHERE workspace = %(workspace)s
    AND version = %(version)s
LIMIT 1
