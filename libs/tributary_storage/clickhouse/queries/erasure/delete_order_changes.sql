-- Deletes what changed orders of which nobody is left.
ALTER TABLE order_changes
    DELETE WHERE workspace = %(workspace)s
        AND conversion_id IN %(conversion_ids)s
SETTINGS mutations_sync = 2
