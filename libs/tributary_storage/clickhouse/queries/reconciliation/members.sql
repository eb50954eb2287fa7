-- All identifiers of the people whom some belong to, as a run read who is whom.
SELECT
    asked.identity_token,
    own.identity_token
FROM
(
    SELECT
        identity_token,
        person
    FROM reconciliation_people FINAL
    WHERE reconciliation_id = %(run)s
) AS own
INNER JOIN
(
    SELECT
        identity_token,
        person
    FROM reconciliation_people FINAL
    WHERE reconciliation_id = %(run)s
        AND identity_token IN %(tokens)s
) AS asked ON asked.person = own.person
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
