-- id, session, then tokens, each with the end that was seen: frees those that still end then. How many.
local id, same = ARGV[1], {}
local node = load(id)
if not node or node.session ~= ARGV[2] then return 0 end
for at = 3, #ARGV, 2 do
  local ends = redis.call('ZSCORE', key('leases', id), ARGV[at])
  if ends and tonumber(ends) == tonumber(ARGV[at + 1]) then same[#same + 1] = ARGV[at] end
end
removeLeases(id, same)
return #same
