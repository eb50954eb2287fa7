-- Lets requests begin that say something of objects at a destination, where no other content may still be on its way.
-- KEYS    one hold per object; all of one destination
-- ARGV    1 for how long in ms a request holds its object where nobody notes its end, then per object two: what is said of
--         it, and with what all begins that certainly never left, "" for nothing: who died about to say it holds nothing up
-- Answer  per object 0 it may begin, and is noted | ms until nothing of what was said before can be carried out any more
-- Cost    at most six commands per object. A second run notes another request.
-- Fields  o: what is said, n: how many requests say so that have begun and not been answered, u: of how many of them the
--         answer was not given up
local life_ms, answers = ARGV[1], {}
for number, hold in ipairs(KEYS) do
  local content, unsaid = ARGV[number * 2], ARGV[number * 2 + 1]
  local said = redis.call('HGET', hold, 'o')
  if said and said ~= content and unsaid ~= '' and string.sub(said, 1, #unsaid) == unsaid then
    redis.call('DEL', hold)
    said = false
  end
  if said and said ~= content then
    answers[number] = math.max(1, redis.call('PTTL', hold))
  else
    redis.call('HSET', hold, 'o', content)
    redis.call('HINCRBY', hold, 'n', 1)
    redis.call('HINCRBY', hold, 'u', 1)
    redis.call('PEXPIRE', hold, life_ms)
    answers[number] = 0
  end
end
return answers
