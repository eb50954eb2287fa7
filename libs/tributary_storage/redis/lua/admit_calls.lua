-- Lets calls be made with a credential that several destinations and all replicas share: within each of its quotas, and not
-- while its circuit is open. The generic cell rate algorithm (ITU-T I.371), in microseconds.
-- KEYS    1 circuit, then a quota per span: of some seconds, of a minute, of a day; of one credential
-- ARGV    1 calls wanted, 2 how long a probe may take in us, then per span: calls (0: no limit), the length of it in us
-- Answer  {calls granted, microseconds until the next one could be}
-- Cost    at most four commands and two per span. A second run takes more.
-- Fields  of the circuit: failures, pause: ms, 0 while it is closed, open_until and probe_until: ms
local wanted, probe = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local circuit = redis.call('HMGET', KEYS[1], 'pause', 'open_until', 'probe_until')
local is_open = tonumber(circuit[1] or '0') > 0
if is_open then
  local until_us = math.max(tonumber(circuit[2] or '0'), tonumber(circuit[3] or '0')) * 1000
  if until_us > now then return {0, until_us - now} end
  wanted = math.min(wanted, 1)
end
local granted, wait, arrivals, intervals = wanted, 0, {}, {}
for place = 1, #KEYS - 1 do
  local calls, window = tonumber(ARGV[place * 2 + 1]), tonumber(ARGV[place * 2 + 2])
  if calls > 0 then
    local burst = math.max(1, math.floor(calls / 4))
    local interval = math.floor(window / (calls - burst + 1)) + 1
    local arrival = math.max(tonumber(redis.call('GET', KEYS[place + 1]) or '0'), now)
    arrivals[place], intervals[place] = arrival, interval
    granted = math.max(0, math.min(granted, math.floor((now + burst * interval - arrival) / interval)))
    if granted < wanted then wait = math.max(wait, arrival + (granted + 1) * interval - now - burst * interval) end
  end
end
if granted > 0 then
  for place, arrival in pairs(arrivals) do
    arrival = arrival + granted * intervals[place]
    redis.call('SET', KEYS[place + 1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
  end
  if is_open then redis.call('HSET', KEYS[1], 'probe_until', math.ceil((now + probe) / 1000)) end
end
return {granted, math.ceil(wait)}
