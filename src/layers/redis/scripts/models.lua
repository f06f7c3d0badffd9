-- env, now: name, then the sums as they stand
if not sweep(ARGV[2]) then return false end
local found = {}
for _, name in ipairs(redis.call('SMEMBERS', key('models', ARGV[1]))) do
  local sums = redis.call('HMGET', key('model', ARGV[1] .. ':' .. name), 'nodes', 'slots', 'leased', 'chat', 'completions', 'embeddings')
  found[#found + 1] = { name, sums[1] or '0', sums[2] or '0', sums[3] or '0', sums[4] or '0', sums[5] or '0', sums[6] or '0' }
end
return found
