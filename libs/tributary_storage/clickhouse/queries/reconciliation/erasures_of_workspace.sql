-- Erasures of a workspace that are not finished, or are so since a moment, and how many take conversions out of it.
SELECT
    groupArrayIf(erasure_id, state != 'finished' OR version >= %(since)s),
    countIf(mode = 'remove')
FROM erasures FINAL
WHERE workspace = %(workspace)s
