-- Erasures that are not finished; FINAL: as they were written last.
SELECT
    workspace,
    erasure_id,
    sealed
FROM unfinished_erasures FINAL
ORDER BY
    workspace,
    erasure_id
