-- Deletes what the copies of removed conversions, of which only postings are kept, left in `conversions`.
ALTER TABLE conversions
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(copies)s
SETTINGS mutations_sync = 2
