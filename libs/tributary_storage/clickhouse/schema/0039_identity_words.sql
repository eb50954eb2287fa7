-- One row per word of an operator on two identifiers: that they are one person, or are not, whatever events say. What an
-- undoing said, whether or not it changed anything at the time; of several words on one pair the latest counts.
-- Order: reads want one workspace, all of it: operators say little. A word never changes; written again it replaces itself.
-- Kept: for ever, for it holds for ever.
CREATE TABLE IF NOT EXISTS identity_words /*ON CLUSTER*/
(
    workspace LowCardinality(String),
    word_time DateTime64(6, 'UTC') COMMENT 'when it was said',
    event_id String COMMENT 't1:..., the same for all that was said at once',
    first String COMMENT 'identity token',
    second String COMMENT 'identity token',
    word LowCardinality(String) COMMENT 'joined, separated, withdrawn',
    undone_change_id String COMMENT 'the change that it took back',
    record_time DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = /*Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(word_time)
ORDER BY (workspace, word_time, event_id, first, second)
