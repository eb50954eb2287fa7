-- Deletes some versions of rows of `conversions`, which nobody published. No tombstone does that: it would outlive them, and
-- hide what may be published there later under a lower number than theirs.
ALTER TABLE conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversions)s
        AND (conversion_id, toUnixTimestamp64Micro(conversion_time), revision, is_deleted) IN %(versions)s
SETTINGS mutations_sync = 2
