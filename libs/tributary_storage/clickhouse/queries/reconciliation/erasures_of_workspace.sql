-- How many erasures of a workspace are under way, and how many take conversions out of it.
SELECT
    countIf(state != 'finished'),
    countIf(mode = 'remove')
FROM erasures FINAL
WHERE workspace = %(workspace)s
