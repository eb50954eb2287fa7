-- How many conversions a run left to the next one, and of how many it notes whether it compared them.
SELECT
    countIf(NOT is_settled),
    countIf(is_settled != is_of_days)
FROM
(
    /*looked_at*/
)
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
