-- What findings about deals that are not resolved are about: conversions, and deals as `system/deal_id`.
SELECT
    arrayJoin(splitByChar(',', concat(conversion_id, ',', deal_id))) AS named
FROM reconciliation_findings FINAL
WHERE workspace = %(workspace)s
    AND state != 'RESOLVED'
    AND kind IN %(deal_kinds)s
