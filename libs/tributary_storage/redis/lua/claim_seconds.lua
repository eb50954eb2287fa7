-- Claims a second for conversions of clicks, of which a destination takes two of one second for one.
-- KEYS    per conversion two: the seconds of its click, and those of it that an earlier version kept elsewhere, which are
--         read until they expire; all of one destination
-- ARGV    1 life in s, then per conversion five: its id, the second that is best, how far the next one is, the earliest
--         and the latest that will do
-- Answer  per conversion its second: the best, else the next one before, else the next one after | -1 all are others'
-- Cost    at most four commands per conversion, and two for each second that is another's. A second run answers the same.
-- Fields  second: the conversion that has it
local life, answers = ARGV[1], {}
for number = 1, #KEYS / 2 do
  local seconds, old_seconds, at = KEYS[number * 2 - 1], KEYS[number * 2], number * 5 - 3
  local conversion, best, step = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local earliest, latest = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local second, direction = best, -step
  answers[number] = -1
  while answers[number] == -1 and second <= latest do
    if second < earliest then
      second, direction = best + step, step
    else
      local field = string.format('%.0f', second)
      local owner = redis.call('HGET', seconds, field) or redis.call('HGET', old_seconds, field)
      if not owner or owner == conversion then
        redis.call('HSET', seconds, field, conversion)
        redis.call('EXPIRE', seconds, life)
        answers[number] = second
      else
        second = second + direction
      end
    end
  end
end
return answers
