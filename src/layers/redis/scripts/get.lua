-- now, id; without an id all that are present
sweep(ARGV[1])
local ids = ARGV[2] and { ARGV[2] } or redis.call('ZRANGE', P .. ':nodes', 0, -1)
local views = {}
for _, id in ipairs(ids) do views[#views + 1] = view(id) end
return views
