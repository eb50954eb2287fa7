-- The deals that a run compares with conversions.
SELECT
    /*deal_columns*/
FROM
(
    /*deals_in_question*/
)
ORDER BY
    system,
    deal_id
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
