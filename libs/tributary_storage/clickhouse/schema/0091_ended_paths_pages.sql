-- One row per page of people of a month whose paths retention is keeping (`ended_paths`): what they add, so that a run that
-- stopped goes on after the last page. Names nobody: a page ends at an identifier, of which a number is kept that it is
-- recognised by. All pages of a month are of people as they were at one moment, so that nobody is of two of them.
-- Order: reads want all of one month. A row with a higher version replaces the one before: a page that is counted again
-- counts once. Not partitioned: it is nearly empty. Kept: until the month is added up.
CREATE TABLE IF NOT EXISTS ended_paths_pages /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    month Date,
    accepted_until DateTime64(6, 'UTC') COMMENT 'as in deleted_rows: a run that stopped is gone on with until this',
    seen_time DateTime64(6, 'UTC') COMMENT 'the moment of which people are read',
    page UInt32 COMMENT 'from 1 on, in the order of the alphabet of identifiers',
    version UInt64 COMMENT 'microseconds since 1970',
    boundary UInt64 COMMENT 'of the last identifier of the page',
    counts Map(String, Int64) COMMENT 'as in ended_paths'
)
ENGINE = /*Replicated*/ReplacingMergeTree(version)
ORDER BY (workspace, month, accepted_until, seen_time, page)
