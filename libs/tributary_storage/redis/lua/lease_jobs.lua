-- Takes due jobs for a while: nobody else takes them before the lease ends. Nobody takes any while a pause lasts, unless it
-- is for other settings, or while somebody holds the destination. Who may not have heard what it took asks for its own
-- again: they are due to it.
-- KEYS    1 due, 2 state, 3 planned, then per conversion: job, sent; all of one destination
-- ARGV    1 length of the lease in ms, 2 token of the lease, 3 1: what is leased under it is due too, 4 digest of the settings
--         of who asks, '': a pause holds them up whatever it is for; 5.. conversion ids
-- Answer  {ms until the first that is not due yet, or until the pause is over; 0: unknown,
--         then per conversion {r, a, p, t, c, f, u, n, k, b, g, e, sent} | {} not due}
-- Cost    six commands per conversion. A second run takes nothing, or the same.
-- Fields  as in plan_jobs
local due, state, planned, lease_ms, token = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local pauses = redis.call('HMGET', state, 'paused_until', 'held', 'pause_settings')
local paused_ms, settings, blamed = tonumber(pauses[1] or '0') - now, ARGV[4], pauses[3] or ''
if settings ~= '' and blamed ~= '' and blamed ~= settings then paused_ms = 0 end
if pauses[2] then paused_ms = math.max(paused_ms, 60000) end
local answers = {math.max(0, paused_ms)}
for number = 1, (#KEYS - 3) / 2 do
  local job, sent, conversion = KEYS[number * 2 + 2], KEYS[number * 2 + 3], ARGV[number + 4]
  local score = tonumber(redis.call('ZSCORE', due, conversion) or '0')
  if score > now and ARGV[3] == '1' and redis.call('HGET', job, 'l') == token then score = now end
  answers[number + 1] = {}
  if paused_ms <= 0 and score > now then
    if answers[1] == 0 or score - now < answers[1] then answers[1] = score - now end
  elseif paused_ms <= 0 and score > 0 then
    local fields = redis.call('HMGET', job, 'r', 'a', 'p', 't', 'c', 'f', 'u', 'n', 'k', 'b', 'g', 'e')
    if fields[1] then
      redis.call('ZADD', due, now + lease_ms, conversion)
      redis.call('HSET', job, 'l', token)
      fields[7], fields[9], fields[10], fields[11] = fields[7] or '0', fields[9] or '', fields[10] or '0', fields[11] or '0'
      fields[12] = fields[12] or '0'
      -- It was due and nobody tried: a pause, a hold, a backlog. That is not time that it was tried in.
      if fields[10] ~= '0' and score < now then
        fields[10] = string.format('%.0f', fields[10] + now - score)
        redis.call('HSET', job, 'b', fields[10])
      end
      fields[13] = redis.call('GET', sent) or ''
      answers[number + 1] = fields
    else
      redis.call('ZREM', due, conversion)
      redis.call('ZREM', planned, conversion)
    end
  end
end
return answers
