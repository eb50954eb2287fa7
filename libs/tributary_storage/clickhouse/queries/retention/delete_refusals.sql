-- Deletes what some workspaces were refused in a month.
ALTER TABLE refusals
    DELETE IN PARTITION %(partition)s
    WHERE workspace IN %(workspaces)s
SETTINGS mutations_sync = 2
