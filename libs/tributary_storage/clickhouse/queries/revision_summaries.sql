-- The newest revisions of one conversion in brief, newest first, and how many there are. FINAL: a row may have been
-- written twice.
SELECT
    revision,
    toUnixTimestamp64Micro(publish_time),
    causes,
    causing_event_ids,
    currency,
    value_micros,
    counted,
    person_id,
    settings_version,
    posting_date,
    arrayCount(id -> id != '', touch_event_ids),
    count() OVER ()
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND conversion_id = %(conversion_id)s
    AND revision <= %(last)s
ORDER BY revision DESC
LIMIT %(limit)s
