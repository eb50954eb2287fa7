-- One row per shard of conversions: the highest revision that was published of it, of those in the day before the newest
-- of all. The newest is known from the parts alone; revisions choose the partition, so only the last are read.
SELECT
    modulo(xxHash64(concat(workspace, '|', conversion_id)), %(shards)s) AS shard,
    max(revision) AS highest
FROM conversion_revisions
WHERE revision > (SELECT max(revision) FROM conversion_revisions) - 86400000000
GROUP BY shard
