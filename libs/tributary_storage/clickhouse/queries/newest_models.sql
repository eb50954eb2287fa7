-- Per conversion name of a workspace the newest evaluation: the model in use, or why there is none.
SELECT argMax(model, publish_time)
FROM model_versions
WHERE workspace = %(workspace)s
GROUP BY conversion_name
ORDER BY conversion_name
