-- Claims a second for conversions of clicks, of which a destination takes two of one second for one.
-- KEYS    per conversion the seconds of its click; all of one destination
-- ARGV    1 life in s, then per conversion five: its id, the second that is best, how far the next one is, the earliest
--         and the latest that will do
-- Answer  per conversion its second: the best, else the next one before, else the next one after | -1 all are others'
-- Cost    at most two commands per conversion, and one for each second that is another's. A second run answers the same.
-- Fields  second: the conversion that has it
local life, answers = ARGV[1], {}
for number, seconds in ipairs(KEYS) do
  local at = number * 5 - 3
  local conversion, best, step = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local earliest, latest = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local second, direction = best, -step
  answers[number] = -1
  while answers[number] == -1 and second <= latest do
    if second < earliest then
      second, direction = best + step, step
    else
      local owner = redis.call('HGET', seconds, string.format('%.0f', second))
      if not owner or owner == conversion then
        redis.call('HSET', seconds, string.format('%.0f', second), conversion)
        redis.call('EXPIRE', seconds, life)
        answers[number] = second
      else
        second = second + direction
      end
    end
  end
end
return answers
