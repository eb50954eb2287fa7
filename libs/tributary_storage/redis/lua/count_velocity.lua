-- Counts conversions per sender in sliding windows, and says which would be one too many.
-- KEYS    one counter per count, a key may come twice; one hash tag
-- ARGV    per key: what is counted once, the most in a window, its length and its moment, both in milliseconds
-- Answer  per key 1 where it would be one too many, which is then not counted, else 0
-- Cost    O(log size) per key, O(size) near its limit; a counter holds 64 + 16 limits at most. A second run counts
--         nothing again.
-- Windows are of the moments: when it happened, or when it came (`velocity.Count`). A counter lives as long as its window
-- from its newest conversion on; a sender of whom more is held loses the oldest.

-- Whether one more at `happened` makes more than `limit` within one window: among `others`, ascending times less than a
-- window away from it, some `limit` neighbours lie, together with it, less than a window apart.
local function is_one_too_many(others, happened, limit, window)
  for first = 1, #others - limit + 1 do
    local from, to = tonumber(others[first]), tonumber(others[first + limit - 1])
    if math.max(to, happened) - math.min(from, happened) < window then
      return true
    end
  end
  return false
end

local exceeded = {}
for at, key in ipairs(KEYS) do
  local member, limit, window = ARGV[4 * at - 3], tonumber(ARGV[4 * at - 2]), tonumber(ARGV[4 * at - 1])
  local happened = tonumber(ARGV[4 * at])
  exceeded[at] = 0
  if not redis.call('ZSCORE', key, member) then
    local from, to = string.format('(%.0f', happened - window), string.format('(%.0f', happened + window)
    local others = {}
    if redis.call('ZCOUNT', key, from, to) >= limit then
      local found = redis.call('ZRANGEBYSCORE', key, from, to, 'WITHSCORES')
      for score = 2, #found, 2 do
        others[#others + 1] = found[score]
      end
    end
    if is_one_too_many(others, happened, limit, window) then
      exceeded[at] = 1
    else
      redis.call('ZADD', key, string.format('%.0f', happened), member)
      redis.call('ZREMRANGEBYRANK', key, 0, -(65 + 16 * limit))
      redis.call('PEXPIRE', key, window)
    end
  end
end
return exceeded
