-- One page of findings of a workspace, by id: in some states and of some kinds, of one run or of all, or by id.
SELECT
    finding_id,
    reconciliation_id,
    kind,
    cause,
    severity,
    state,
    conversion_id,
    event_id,
    deal_id,
    match_step,
    message,
    expected,
    actual,
    repair_revision,
    toUnixTimestamp64Micro(find_time)
FROM reconciliation_findings FINAL
WHERE workspace = %(workspace)s
    AND (%(run)s = '' OR reconciliation_id = %(run)s)
    AND state IN %(states)s
    AND kind IN %(kinds)s
    AND (%(any_id)s OR finding_id IN %(finding_ids)s)
    AND finding_id > %(after)s
ORDER BY finding_id
LIMIT %(limit)s
