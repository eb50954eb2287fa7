-- The identifiers that observations of the conversions of a run carry.
SELECT DISTINCT arrayJoin(identity_tokens)
FROM events
PREWHERE conversion_id IN
(
    /*named*/
)
WHERE workspace = %(workspace)s
    AND kind = 'conversion'
    AND verdict != 'QUARANTINED'
SETTINGS max_memory_usage = %(max_memory)s, max_threads = 2
