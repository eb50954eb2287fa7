-- Appends unpublished revisions to the conversion log and takes their marks away, in one step: once ClickHouse has them.
-- KEYS    1 conversion log, 2.. conversions; all of one shard     ARGV    per conversion the revision
-- Answer  how many were appended
-- Cost    one append per revision. A second run finds no mark and appends nothing.
local log = KEYS[1]
local appended = 0
for number, revision in ipairs(ARGV) do
  local conversion, mark = KEYS[number + 1], 'u' .. revision
  local revised = redis.call('HGET', conversion, mark)
  if revised then
    redis.call('XADD', log, '*', 'revised', revised)
    redis.call('HDEL', conversion, mark)
    appended = appended + 1
  end
end
return appended
