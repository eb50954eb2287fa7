-- Adds the oldest changes of paths up, once: they are dropped in the same step.
-- KEYS    1 changes of paths, 2.. counts of paths; all of one shard. Beside 1, with `:done` behind its name: how many
--         changes were ever added up
-- ARGV    1 how many were when the changes were read, 2 how many changes it are, then per hash of counts {n, n x {count, by
--         how much}}
-- Answer  1, or 0 where somebody else has added some of them up (nothing was written; read again)
-- Cost    one write per count. A second run finds more changes done and answers 0.
local done = KEYS[1] .. ':done'
if (redis.call('GET', done) or '0') ~= ARGV[1] then return 0 end
redis.call('INCRBY', done, ARGV[2])
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
local at = 3
for number = 2, #KEYS do
  local last = at + 2 * tonumber(ARGV[at])
  for index = at + 1, last, 2 do
    if redis.call('HINCRBY', KEYS[number], ARGV[index], ARGV[index + 1]) == 0 then
      redis.call('HDEL', KEYS[number], ARGV[index])
    end
  end
  at = last + 1
end
return 1
