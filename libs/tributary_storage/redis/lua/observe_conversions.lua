-- Keeps what events say about conversions, each event once, and answers all that is known of each.
-- KEYS    conversions of one shard
-- ARGV    1 life in seconds, then per conversion {parts n, n x (8 bytes event hash, part)}; n = 0 only reads. 'f', 'k..'
--         and 'h..' with a text may stand for a part
-- Answer  {Redis time in microseconds, then per conversion its fields and values}
-- Cost    O(parts of the conversion). A second run keeps nothing new and answers the same.
-- Fields  8 bytes: a part. n: number of parts. r: last revision. j: version of the journey it was computed from.
--         s: what was published last. l: the last loss after which ClickHouse was asked. u<revision>: a revision that
--         ClickHouse and the conversion log may not have yet. f: the order that the event of this id observed.
--         k<name's digest>: a lead whose first conversion this would be. Of a family the parts are its members, and
--         h<loss>: when ClickHouse was asked for them. d, e: where it waits to be credited again, why, and how often that was asked for. c: its counted path.
local life = ARGV[1]
local clock = redis.call('TIME')
local answers = {clock[1] * 1000000 + clock[2]}
local at = 2
for number, conversion in ipairs(KEYS) do
  local parts = tonumber(ARGV[at])
  for index = 1, parts do
    local field = ARGV[at + 2 * index - 1]
    if redis.call('HSETNX', conversion, field, ARGV[at + 2 * index]) == 1 and #field == 8 then
      redis.call('HINCRBY', conversion, 'n', 1)
    end
  end
  at = at + 1 + 2 * parts
  if parts > 0 then redis.call('EXPIRE', conversion, life) end
  answers[number + 1] = redis.call('HGETALL', conversion)
end
return answers
