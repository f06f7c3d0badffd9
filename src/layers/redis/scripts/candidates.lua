-- env, model, sampleMax, now, then ids that are not wanted: free, serving, and views of a fair sample
if not sweep(ARGV[4]) then return false end
local sampleMax, unwanted, unwantedCount = tonumber(ARGV[3]), {}, 0
for at = 5, #ARGV do
  unwanted[ARGV[at]] = true
  unwantedCount = unwantedCount + 1
end
local of = ARGV[1] .. ':' .. ARGV[2]
local views = {}
for _, id in ipairs(redis.call('SRANDMEMBER', key('free', of), sampleMax + unwantedCount)) do
  if #views < sampleMax and not unwanted[id] then views[#views + 1] = view(id) end
end
return { redis.call('SCARD', key('free', of)), tonumber(redis.call('HGET', key('model', of), 'serving') or '0'), views }
