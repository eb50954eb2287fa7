-- Which conversions the days of a run have (`of_days`), in order of their ids, after the last one that was read.
SELECT DISTINCT conversion_id
FROM
(
/*of_days*/
)
WHERE conversion_id > %(after)s
ORDER BY conversion_id
LIMIT %(limit)s
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
