-- Deletes what a workspace was refused in a month.
ALTER TABLE refusals
    DELETE IN PARTITION %(partition)s
    WHERE workspace = %(workspace)s
SETTINGS mutations_sync = 2
