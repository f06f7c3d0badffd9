-- A bucket is one number: when it is full again. KEYS[1]: the bucket. rate per second, burst, at or nothing: allowed, remaining, retryAfterMs, resetMs
local ROUNDING_MS = 0.001
local burst, now = tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local interval = 1000 / tonumber(ARGV[1])
local empty = now + burst * interval
local known = tonumber(redis.call('GET', KEYS[1]) or now)
-- Never emptier than empty: a clock that was ahead, or a limit that was raised, does not lock anybody out.
local full = math.min(math.max(known, now), empty)
local allowed = full + interval <= empty + ROUNDING_MS
local left = allowed and full + interval or full
if left > now then
  redis.call('SET', KEYS[1], string.format('%.17g', left), 'PX', math.ceil(left - now) + 60000)
else
  redis.call('DEL', KEYS[1])
end
local retry = allowed and 0 or math.max(1, math.ceil(full + interval - empty - ROUNDING_MS))
return { allowed and 1 or 0, math.floor((empty - left + ROUNDING_MS) / interval), retry, math.max(0, math.ceil(left - now - ROUNDING_MS)) }
