-- Publishes the new states of conversions, each only if nothing moved since its parts and its journey were read; in the
-- same step the path that a conversion is counted as is replaced, and the change noted.
-- KEYS    1 highest revision published of the shard, 2.. conversions of it. Beside 1, with `:paths` behind its name: the
--         changes of paths
-- ARGV    per conversion {expected last revision, number of parts, journey version, new revision, revision as bytes
--         without differences of credit, the same with them, expected counted path, new one}
--         new revision 0: no change, but the journey's version is noted, so that a result from an older one is refused
--         new counted path empty: as before
-- Answer  per conversion 1 (published, or no change) or 0 (moved: nothing was written; read again)
-- Cost    one read and one write per conversion. A second run finds its own revision and answers 0.
local answers, highest = {}, redis.call('GET', KEYS[1])
local before = highest
for number = 1, #KEYS - 1 do
  local conversion, at = KEYS[number + 1], 8 * number - 7
  local known = redis.call('HMGET', conversion, 'r', 'n', 'j', 'c')
  local is_current = (known[1] or '0') == ARGV[at] and (known[2] or '0') == ARGV[at + 1]
    and tonumber(known[3] or '0') <= tonumber(ARGV[at + 2]) and (known[4] or '') == ARGV[at + 6]
  if not is_current then
    answers[number] = 0
  else
    answers[number] = 1
    if ARGV[at + 3] == '0' then
      if known[3] ~= ARGV[at + 2] then redis.call('HSET', conversion, 'j', ARGV[at + 2]) end
    else
      redis.call('HSET', conversion, 'r', ARGV[at + 3], 'j', ARGV[at + 2], 's', ARGV[at + 4],
        'u' .. ARGV[at + 3], ARGV[at + 5])
      if tonumber(ARGV[at + 3]) > tonumber(highest or '0') then highest = ARGV[at + 3] end
    end
    if ARGV[at + 7] ~= '' then
      redis.call('HSET', conversion, 'c', ARGV[at + 7])
      redis.call('RPUSH', KEYS[1] .. ':paths', ARGV[at + 6] .. '\0' .. ARGV[at + 7])
    end
  end
end
if highest ~= before then redis.call('SET', KEYS[1], highest) end
return answers
