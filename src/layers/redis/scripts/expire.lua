-- now: removes what has run out, and when the next thing does ('' for never); that may be now, when there was too much for one call
sweep(ARGV[1])
local first = ''
for _, name in ipairs({ P .. ':nodes', P .. ':leaseends' }) do
  local next = redis.call('ZRANGE', name, 0, 0, 'WITHSCORES')
  if next[2] and (first == '' or tonumber(next[2]) < tonumber(first)) then first = next[2] end
end
return first
