-- One row per shard of conversions: the highest revision that was published of it, of those in the day before the newest
-- of all. The newest is known from the parts alone; revisions choose the partition, so only the last are read. What is
-- left of a conversion whose person was erased was published under an id that nobody knows any more, so in some shard; and
-- where an erasure took it back, that was never published.
SELECT
    if(
        startsWith(conversion_id, 's1:'),
        'any',
        toString(modulo(xxHash64(concat(workspace, '|', conversion_id)), %(shards)s))
    ) AS shard,
    max(if(not_counted_reason = 'ERASED', previous_revision, revision)) AS highest
FROM conversion_revisions
WHERE revision > (SELECT max(revision) FROM conversion_revisions) - 86400000000
GROUP BY shard
